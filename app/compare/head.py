"""What the page compares: read from the address, described in the header."""

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

LAST = "compared"
PLACES = (pages.STUDY, pages.RUNS_OF)
FEW = 3  # series that fit into a title


def repair_address() -> None:
    """Restore the comparison when the visitor comes back from a run."""
    # See ``library.repair_address``. No widget holds this page's own parameters, so they are lost.
    if pages.ID in st.query_params:
        del st.query_params[pages.ID]
        st.query_params.update(st.session_state.get(LAST, {}))
        st.rerun()


def from_address() -> dict[str, str]:
    """The query parameters that say what to compare; empty if there are none."""
    first, second = (st.query_params.pop(name, "") for name in (pages.FIRST, pages.SECOND))
    if first or second:  # an earlier address, for two runs
        st.query_params[pages.RUNS_OF] = f"{first},{second}".rstrip(",")
    found = {place: value for place in PLACES if (value := st.query_params.get(place))}
    st.session_state[LAST] = found
    return found


def chosen(given: dict[str, str]) -> Comparison | None:
    """What is compared; None if it does not exist. Raises ``StoreError``."""
    visitor = session.visitor()
    if pages.STUDY in given:
        return comparison.of_study(given[pages.STUDY], visitor)
    found = comparison.of_runs(comparison.chosen(given[pages.RUNS_OF]), visitor)
    return found if found.runs else None


def show_start() -> None:
    """Nothing is chosen yet: list the visitor's studies."""
    st.title("Compare")
    mine = studies.mine(session.visitor())
    if mine:
        st.markdown("Choose a sweep or a search.")
        now = time.time()
        for study in mine:
            with st.container(border=True, gap=None):
                # Not a link: a link to the current page would drop the parameters.
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
            "Which criterion works best, and how sparse can the network get? Start a sweep: it "
            "runs every criterion you choose at every sparsity, with several seeds, and this page "
            "compares the runs. Or tick some of your finished runs."
        )


def show_nothing() -> None:
    """What the address names does not exist."""
    st.title("Nothing to compare")
    st.markdown(
        "It was deleted or has expired, or the address is incomplete. Running the same settings "
        "again gives the same results."
    )
    show_ways_on()


def show_head(compared: Comparison, table: pd.DataFrame) -> None:
    """What is compared, and its owner."""
    study = compared.study
    if study:
        st.title(plain(words.title(study)))
        st.caption(plain(f"{words.of(study)} · {_owner(study)}"))
    else:
        st.title(plain(what(table)))
        st.caption(plain(_setting(table)))
    for sentence in _gaps(compared, table):
        st.info(plain(sentence), icon=":material/info:")


def what(table: pd.DataFrame) -> str:
    """The title: ``ProsPr, SNIP and Random compared``, or ``11 criteria compared``."""
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
    parts = []
    models, data = (table[name].unique() for name in ("model", "data"))
    if len(models) == len(data) == 1:
        parts.append(f"{model_label(models[0])} on {data_label(data[0])}")
    if table["epochs"].nunique() == 1:
        parts.append(counted(int(table["epochs"].iloc[0]), "epoch"))
    parts.append(counted(table["seed"].nunique(), "seed"))
    return " · ".join([*parts, counted(len(table), "run")])


def _owner(study: Study) -> str:
    if access.owns(study, session.visitor()):
        return f"your {study.kind}"
    return f"someone else's {study.kind}" if study.owner else "from the command line"


def _gaps(compared: Comparison, table: pd.DataFrame) -> list[str]:
    """Which runs are not in the table, and why."""
    sentences = []
    if missing := compared.missing:
        sentences.append(
            f"{counted(missing, 'run')} {plural(missing, 'is', 'are')} missing: deleted, "
            "expired, or cut off the end of this address."
        )
    if unreadable := len(compared.runs) - len(table):
        sentences.append(
            f"{counted(unreadable, 'run')} of another version of this software cannot be compared. "
            "Run the same settings again."
        )
    return sentences


def show_ways_on() -> None:
    """Links to pages from which something can be compared."""
    with st.container(horizontal=True):
        st.page_link(pages.SWEEP, label="Start a sweep", icon=":material/grid_view:")
        st.page_link(pages.RUNS, label="See your runs", icon=":material/list:")
