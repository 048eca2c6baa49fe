"""Compare two runs, chosen by the address or on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from app import pages, session
from app.compare.head import what
from app.compare.pair_view import LETTERS, show_pair
from app.services import Run, comparison
from app.services import runs as service
from app.services.comparison import Comparison, frame
from app.ui.findings import plain
from app.ui.titles import short, title
from app.ui.watch import watch


def ids_of(given: Mapping[str, str]) -> list[str] | None:
    """The two ids in the address, "" where A or B is still to be chosen; None if the address names
    a study, no run, or more than two."""
    value = given.get(pages.RUNS_OF, "")
    parts = [id.strip() for id in value.split(",")]
    if len(parts) != 2:
        parts = comparison.chosen(value)
    if pages.STUDY in given or len(parts) > 2 or not any(parts):
        return None
    return [*parts, ""][:2]


def show_two(compared: Comparison, ids: Sequence[str], given: Mapping[str, str]) -> None:
    """The page of two runs, or of one while the other is still to be chosen."""
    runs = [compared.by_id.get(id) for id in ids]
    there = [run for run in runs if run is not None]
    table = frame(compared)
    named = len(there) == 2 and table["series"].nunique() == 2
    st.title(plain(what(table)) if named else "Two runs compared")
    show_choice(ids, runs, _finished())
    problems = [
        sentence
        for letter, id, run in zip(LETTERS, ids, runs, strict=True)
        if (sentence := problem(letter, id, run))
    ]
    if not problems and ids[0] == ids[1]:
        problems = ["A and B are the same run. Choose another run for A or B."]
    for sentence in problems:
        st.info(plain(sentence), icon=":material/info:")
    if not problems:
        show_pair(compared, there, [service.result(run) for run in there], given)
    watch(there)


def show_first_choice() -> None:
    """The boxes while no run is chosen; nothing if the visitor has fewer than two runs."""
    finished = _finished()
    if len(finished) > 1:
        st.markdown("Compare two of your runs, or tick more of them under *Runs*.")
        show_choice(["", ""], [None, None], finished)


def problem(letter: str, id: str, run: Run | None) -> str | None:
    """Why the run in the address cannot be shown; None if it can."""
    if not id:
        return f"Choose a run for {letter}."
    if run is None:
        return (
            f"Run {letter} was not found: it was deleted or has expired, or the address is "
            "incomplete. Choose another run."
        )
    if run.live:
        verb = "is waiting for its turn" if run.state == "queued" else "is running"
        return f"{letter} ({title(run)}) {verb}. It will appear here when it is done."
    if run.state != "done":
        ended = "failed" if run.state == "failed" else "was stopped"
        return f"{letter} ({title(run)}) {ended} and has no result. Choose another run."
    return None


def show_choice(ids: Sequence[str], runs: Sequence[Run | None], finished: Sequence[Run]) -> None:
    """Two boxes to choose from the visitor's ``finished`` runs and the current ``runs``; ``ids``
    are those in the address."""
    known = {run.id: run for run in (*filter(None, runs), *finished)}
    names = _names(list(known.values()))
    left, middle, right = st.columns([0.44, 0.12, 0.44], vertical_alignment="bottom")
    for place, (column, run) in enumerate(zip((left, right), runs, strict=True)):
        st.session_state[_key(place)] = run.id if run else None
        column.selectbox(
            LETTERS[place],
            list(known),
            index=None,
            format_func=names.__getitem__,
            placeholder="Choose a finished run",
            key=_key(place),
            on_change=_choose,
            args=(place, list(ids)),
        )
    middle.button(
        "Swap",
        icon=":material/swap_horiz:",
        key="swap",
        disabled=not any(ids),
        on_click=_write,
        args=([*reversed(ids)],),
        width="stretch",
    )


def _finished() -> list[Run]:
    return [run for run in service.mine(session.visitor()) if run.state == "done"]


def _names(runs: Sequence[Run]) -> dict[str, str]:
    """Unique names of the runs for the boxes."""
    names: dict[str, str] = {}
    for run in runs:
        name = short(run)
        names[run.id] = f"{name} ({run.id[:6]})" if name in names.values() else name
    return names


def _key(place: int) -> str:
    return f"pair-{LETTERS[place].lower()}"


def _choose(place: int, ids: list[str]) -> None:
    ids[place] = st.session_state[_key(place)] or ""
    _write(ids)


def _write(ids: Sequence[str]) -> None:
    if any(ids):
        st.query_params[pages.RUNS_OF] = ",".join(ids).rstrip(",")
    else:
        st.query_params.pop(pages.RUNS_OF, None)
