"""A finished run: the answer and the files first, then the evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from app import pages
from app.run.about import show_about, show_again, show_manage, show_share, show_study
from app.run.controls import show_controls, show_controls_link, show_original
from app.run.downloads import show_downloads
from app.run.explore import show_explore
from app.run.speed import show_speed
from app.services import (
    ConfigError,
    EngineError,
    ExportRecord,
    Run,
    RunRecord,
    course,
    diverged,
    runs,
)
from app.ui import answer as words
from app.ui import code
from app.ui.findings import plain, show_error, show_proof
from app.ui.format import accuracy, counted, duration, rough_number, signed_points
from app.ui.glossary import TERMS
from app.ui.plots import show_training
from app.ui.titles import data_label, encoding_label, title
from app.ui.when import exactly

VERSIONS = ("prospr_engine", "python", "torch", "torchvision", "onnx", "onnxruntime", "numpy")


def show_result(run: Run) -> None:
    """The whole result of ``run``."""
    try:
        result = runs.result(run)
    except EngineError as error:
        st.title(plain(title(run)))
        show_about(run)
        show_error(error)
        show_again(run, "Start it again")
        show_manage(run)
        return
    st.title(words.answer(result))
    show_about(run)
    show_original(run)
    st.markdown(words.compared(result))
    st.markdown(course(result))
    if problem := diverged(result):
        show_error(problem)
    for warning in result.data.warnings:
        st.warning(plain(warning), icon=":material/content_copy:")
    show_controls_link(run)
    _metrics(result)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(
            pages.TRY_IT,
            label="Try it",
            icon=":material/draw:",
            query_params=pages.to_run(run.id),
            help="Draw or upload an image and see both networks answer.",
        )
        st.page_link(
            pages.COMPARE,
            label="Compare with another run",
            icon=":material/compare:",
            query_params=pages.to_comparison([run.id]),
        )
        show_study(run)
        show_share(run)
    if not all(export.ok for export in result.exports.values()):
        _proofs(result)
    show_explore(run, result, lambda: show_downloads(run, result), _parts(run, result))
    show_controls(run)
    with st.container(horizontal=True):
        show_again(run)
        show_manage(run)


def _parts(run: Run, result: RunRecord) -> dict[str, Callable[[], None]]:
    """The details, by the names of their tabs."""
    parts: dict[str, Callable[[], None]] = {}
    if result.latency is not None:
        parts["Speed"] = lambda: show_speed(run, result)
    if result.history:
        parts["Training"] = lambda: _training(result)
    parts["Checks"] = lambda: _proofs(result)
    parts["Settings"] = lambda: _settings(run, result)
    return parts


def _training(result: RunRecord) -> None:
    st.markdown("### Training of both networks", help=TERMS["validation images"])
    show_training(result.history, result.config.epochs, key="training")


def _proofs(result: RunRecord) -> None:
    for encoding, export in result.exports.items():
        _proof(encoding, export, len(result.exports) > 1, _removed_channels(result))


def _settings(run: Run, result: RunRecord) -> None:
    _provenance(run, result)
    _repeat(run, result)


def _removed_channels(result: RunRecord) -> bool:
    structure = result.pruning.structure
    return structure is not None and structure.channels.after < structure.channels.before


def _metrics(result: RunRecord) -> None:
    tested, kept, total = result.accuracy, result.pruning.kept, result.pruning.total
    change = words.points(result)
    figures: tuple[tuple[str, str, str, Any, str], ...] = (
        # label, value, text below, arrow before that, tooltip
        ("Weights kept", f"{kept:,}", f"of {total:,}", "off", TERMS["weights"]),
        (
            "Accuracy, pruned",
            accuracy(tested["pruned"]),
            signed_points(change) if change else "no change",
            # Streamlit does not recognise a true minus sign.
            "off" if not change else "up" if change > 0 else "down",
            f"{TERMS['accuracy']} {TERMS['pruned']}",
        ),
        (
            "Accuracy, dense",
            accuracy(tested["dense"]),
            f"{result.data.split.test:,} test images",
            "off",
            f"{TERMS['accuracy']} {TERMS['dense']}",
        ),
        (
            "Time",
            duration(result.seconds),
            "both networks",
            "off",
            "Total time for both networks, from reading the images to the checked file.",
        ),
    )
    if (structure := result.pruning.structure) is not None:
        operations = structure.operations
        figures = (
            figures[0],
            (
                "Multiply-adds kept",
                rough_number(operations.after),
                f"of {rough_number(operations.before)} per image",
                "off",
                TERMS["operations"],
            ),
            *figures[1:],
        )
    grid = st.grid(min_column_width=150)
    for label, value, below, arrow, about in figures:
        with grid.cell():
            st.metric(label, value, below, delta_color="off", delta_arrow=arrow, help=about)


def _proof(encoding: str, export: ExportRecord, several: bool, channels: bool) -> None:
    verdict = "The file passed all checks" if export.ok else "The file failed its checks"
    which = f": {encoding_label(encoding)}" if several else ""
    st.markdown(f"### {verdict}{which}", help=TERMS["proof"])
    show_proof(export.checks, channels)


def _repeat(run: Run, result: RunRecord) -> None:
    with st.expander("Repeat from Python or the command line", icon=":material/terminal:"):
        try:
            config = run.config
        except ConfigError as error:
            st.caption(plain(str(error)))
            return
        threads = result.environment.threads
        st.caption(
            "Run these in the project's folder, with the Python of its .venv. With "
            f"{counted(threads, 'thread')} they give the same numbers on the same kind of machine."
        )
        for name in code.uploads(config):
            st.caption(f"{plain(name)} is the uploaded file; put it in the same folder.")
        st.code(code.command(config, threads), language="bash", wrap_lines=True)
        st.code(code.program(config, threads), language="python", wrap_lines=True)


def _provenance(run: Run, result: RunRecord) -> None:
    """What the numbers depend on besides the settings."""
    data, machine = result.data, result.environment
    split = data.split
    versions = [f"{name} {machine.versions[name]}" for name in VERSIONS if name in machine.versions]
    rows = {
        "Computed": exactly(run.ended or run.created),
        "Device": f"{machine.device_name} ({machine.device}, {counted(machine.threads, 'thread')})",
        "Versions": ", ".join(versions),
        "Seed": str(result.config.seed),
        "Data": f"{data_label(result.config.data)}: {split.train:,} training images, "
        f"{split.validation:,} for validation, {split.test:,} for testing",
        "Digest of the data": data.digest,
        "Fingerprint of the settings": result.fingerprint,
        "Notes": " ".join((*result.notes, *data.notes)),
    }
    with st.expander("Where these numbers come from", icon=":material/fact_check:"):
        lines = [f"- **{name}**: {plain(text)}" for name, text in rows.items() if text]
        st.markdown("\n".join(lines))
