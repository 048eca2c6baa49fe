"""Downloads of a comparison: its table, its chart, a link, and code that repeats it. Each is made
only when it is needed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial

import streamlit as st

from app.compare import code_search, code_sweep
from app.compare.filters import Shown, address
from app.compare.head import what
from app.compare.plots import accuracy_data, accuracy_spec
from app.compare.table_file import csv
from app.compare.words import warnings
from app.services import RunConfig, SearchConfig
from app.services.analysis import done
from app.services.comparison import Comparison
from app.services.summary import summary_of
from app.ui import studies as words
from app.ui.code import uploads
from app.ui.findings import plain
from app.ui.format import counted
from prospr_engine.report.charts import image_file
from prospr_engine.report.charts.colours import LIGHT
from prospr_engine.report.charts.image_file import MIMES, Kind


def show_downloads(
    compared: Comparison,
    shown: Shown,
    axis: str,
    cells: bool,
    given: Mapping[str, str],
    picture: bool = True,
) -> None:
    """Downloads, link and code in a row. ``given`` are the query parameters of the comparison;
    ``picture``: whether there is a chart."""
    with st.container(horizontal=True):
        name = _file_name(compared, given)
        st.download_button(
            "CSV",
            partial(csv, shown.rows),
            file_name=f"{name}.csv",
            mime="text/csv",
            on_click="ignore",
            icon=":material/download:",
            key="download-csv",
            help="The runs shown here, one per line.",
        )
        for kind in MIMES if picture else ():
            st.download_button(
                kind.upper(),
                partial(_picture, compared, shown, axis, cells, kind),
                file_name=f"{name}-{axis}.{kind}",
                mime=MIMES[kind],
                on_click="ignore",
                icon=":material/image:",
                key=f"download-{kind}",
                help="This chart, on white.",
            )
        _show_code(compared, shown)
        _show_link(given)


def _show_link(given: Mapping[str, str]) -> None:
    with st.popover("Copy link", icon=":material/link:"):
        st.markdown(
            "This link opens exactly this view. Anyone with the link can look, but not change "
            "anything."
        )
        if st.context.url:
            link = f"{st.context.url.partition('?')[0]}?{address(given)}"
            st.code(link, language=None, wrap_lines=True)


def _show_code(compared: Comparison, shown: Shown) -> None:
    box = st.popover("Copy code", icon=":material/terminal:", key="copy-code", on_change="rerun")
    if not box.open:
        return
    configs = [compared.by_id[run].config for run in shown.rows["run"]]
    search = compared.study.config if compared.study else None
    with box:
        threads = _threads(compared)
        repeats = f"Repeats the {counted(len(configs), 'run')} shown here"
        if isinstance(search, SearchConfig):
            repeats = "Repeats the search"
        st.caption(f"{repeats}. Run it in the project's folder, with the Python of its .venv.")
        for name in sorted({name for config in configs for name in uploads(config)}):
            st.caption(f"Put the uploaded file {plain(name)} into the same folder.")
        if isinstance(search, SearchConfig):
            command = code_search.search_command(search, threads)
            program = code_search.search_program(search, threads)
        else:
            command, program = _code(configs, threads)
        st.markdown("**Copy as command**")
        st.code(command, language="bash", wrap_lines=True)
        st.markdown("**Copy as Python**")
        st.code(program, language="python", wrap_lines=True)


def _code(configs: list[RunConfig], threads: int) -> tuple[str, str]:
    config = code_sweep.as_sweep(configs)
    if config is not None:
        made = (code_sweep.sweep_command, code_sweep.sweep_program)
        return made[0](config, threads), made[1](config, threads)
    return code_sweep.runs_command(configs, threads), code_sweep.runs_program(configs, threads)


def _threads(compared: Comparison) -> int:
    """How many threads the runs were computed with."""
    known = (summary_of(run).threads for run in compared.runs)
    return next((threads for threads in known if threads), 1)


def _picture(compared: Comparison, shown: Shown, axis: str, cells: bool, kind: Kind) -> bytes:
    rows, plan, _ = accuracy_data(shown.key, axis, cells, shown.rows)
    study = compared.study
    title = words.title(study) if study else what(shown.rows)
    made_of = counted(len(done(shown.rows)), "run")
    parts = [words.of(study) if study else "", made_of, *warnings(shown.rows)]
    source = " · ".join(filter(None, parts))
    return image_file.picture(accuracy_spec(plan, LIGHT), rows, kind, title, source)


def _file_name(compared: Comparison, given: Mapping[str, str]) -> str:
    """``comparison-everything-3f0a2c``: valid on every file system, and unique."""
    study = compared.study
    name = re.sub(r"[^\w.+]+", "_", words.title(study) if study else "").strip("_.").lower()
    id = study.id if study else next(iter(given.values()))
    return "-".join(filter(None, ("comparison", name[:40], id[:6])))
