"""What the page compares: named by its address, told in its head."""

from __future__ import annotations

import time

import pandas as pd
import streamlit as st

from app import access, pages, session
from app.services import Study, comparison, studies
from app.services.comparison import Comparison
from app.ui import studies as words
from app.ui.findings import plain
from app.ui.format import counted, listed, plural
from app.ui.titles import data_label, model_label
from app.ui.when import ago

KEPT = "compared"
PLACES = (pages.STUDY, pages.RUNS_OF)
FEW = 3  # lines that a title can name


def repair_address() -> None:
    """On the way back from a run, what was compared comes back too."""
    # See ``library.repair_address``; this page's own parameters are in no widget and went.
    if pages.ID in st.query_params:
        del st.query_params[pages.ID]
        st.query_params.update(st.session_state.get(KEPT, {}))
        st.rerun()


def asked() -> dict[str, str]:
    """The parameters by which the address says what to compare; empty if it does not."""
    first, second = (st.query_params.pop(name, "") for name in (pages.FIRST, pages.SECOND))
    if first or second:  # an earlier address, for two runs
        st.query_params[pages.RUNS_OF] = f"{first},{second}".rstrip(",")
    found = {place: value for place in PLACES if (value := st.query_params.get(place))}
    st.session_state[KEPT] = found
    return found


def chosen(given: dict[str, str]) -> Comparison | None:
    """What is compared, if it is there. Raises ``StoreError``."""
    visitor = session.visitor()
    if pages.STUDY in given:
        return comparison.of_study(given[pages.STUDY], visitor)
    found = comparison.of_runs(comparison.chosen(given[pages.RUNS_OF]), visitor)
    return found if found.runs else None


def show_start() -> None:
    """Nothing is chosen: the visitor's studies."""
    st.title("Compare")
    mine = studies.mine(session.visitor())
    if mine:
        st.markdown("Choose a sweep or a search.")
        now = time.time()
        for study in mine:
            with st.container(border=True, gap=None):
                # No link: of one to the page itself the address would keep nothing.
                st.button(
                    plain(words.title(study)),
                    icon=":material/query_stats:",
                    type="tertiary",
                    key=f"study-{study.id}",
                    on_click=st.query_params.from_dict,
                    args=(pages.to_study(study.id),),
                )
                st.caption(
                    f"{words.ICONS[words.state(study)]} {words.progress(study)} · "
                    f"{ago(study.created, now)}"
                )
                st.caption(plain(words.of(study)))
    else:
        st.markdown(
            "Which criterion, how sparse, before it breaks? Start a sweep: every criterion that "
            "you choose, at every sparsity, from several seeds. Here its runs are compared. Or "
            "tick some of your runs that are done."
        )


def show_nothing() -> None:
    """The address names what is not there."""
    st.title("There is nothing to compare")
    st.markdown(
        "What this address names was deleted or has expired, or the address is incomplete. The "
        "same settings give the same results again."
    )
    show_ways_on()


def show_head(compared: Comparison, table: pd.DataFrame) -> None:
    """What is compared, and whose it is."""
    study = compared.study
    if study:
        st.title(plain(words.title(study)))
        st.caption(plain(f"{words.of(study)} · {_whose(study)}"))
    else:
        st.title(plain(what(table)))
        st.caption(plain(_setting(table)))
    for sentence in _gaps(compared, table):
        st.info(plain(sentence), icon=":material/info:")


def what(table: pd.DataFrame) -> str:
    """What the lines are: ``ProsPr, SNIP and Random compared``, or ``11 criteria compared``."""
    names = list(table.sort_values("order", kind="stable")["series"].unique())
    if not names:
        return "Compare"
    if len(names) <= FEW:
        return f"{listed(names)} compared" if names[1:] else names[0]
    criteria = table["method"].nunique()
    if criteria in (1, len(names)):
        return f"{len(names)} {'variants' if criteria == 1 else 'criteria'} compared"
    return f"{criteria} criteria compared, in {len(names)} variants"


def _setting(table: pd.DataFrame) -> str:
    """What the runs have in common: ``Small CNN on Digits · 3 epochs · 2 seeds · 4 runs``."""
    told = []
    models, data = (table[name].unique() for name in ("model", "data"))
    if len(models) == len(data) == 1:
        told.append(f"{model_label(models[0])} on {data_label(data[0])}")
    if table["epochs"].nunique() == 1:
        told.append(counted(int(table["epochs"].iloc[0]), "epoch"))
    told.append(counted(table["seed"].nunique(), "seed"))
    return " · ".join([*told, counted(len(table), "run")])


def _whose(study: Study) -> str:
    if access.owns(study, session.visitor()):
        return f"your {study.kind}"
    return f"somebody else's {study.kind}" if study.owner else "from the command line"


def _gaps(compared: Comparison, table: pd.DataFrame) -> list[str]:
    """Which runs are not in the table, and why."""
    told = []
    if missing := compared.missing:
        told.append(
            f"{counted(missing, 'run')} {plural(missing, 'is', 'are')} not here: deleted, out "
            "of time, or cut off from the end of this address."
        )
    if strange := len(compared.runs) - len(table):
        told.append(
            f"{counted(strange, 'run')} of another version of this software cannot be compared. "
            "Start the same settings again."
        )
    return told


def show_ways_on() -> None:
    """How to get something to compare."""
    with st.container(horizontal=True):
        st.page_link(pages.SWEEP, label="Start a sweep", icon=":material/grid_view:")
        st.page_link(pages.RUNS, label="See your runs", icon=":material/list:")
