"""What a study will take, and why it cannot start."""

from __future__ import annotations

import streamlit as st

from app import access, pages
from app.forms import forecast_words as words
from app.forms.forecast import figures, metric
from app.services import WEIGHTS, Limits, SearchConfig, SweepConfig, studies
from app.services.estimates import Plan
from app.ui import studies as text
from app.ui.findings import plain
from app.ui.format import DAY, GIGA, estimated, rough_number, size
from app.ui.glossary import TERMS

POLL = 2.0  # seconds between two polls of a live study


def show_plan(config: SweepConfig | SearchConfig, plan: Plan | None, limits: Limits) -> None:
    """Runs, time, dense networks and files."""
    if isinstance(config, SweepConfig):
        st.markdown(f"**{text.shape(config)}**")
        if left_out := config.left_out():
            st.caption(plain(left_out))
    if plan is None:
        st.caption(words.UNKNOWN)
        return
    if plan.failing:
        st.warning(f"Some runs will fail. {plain(plan.failing)}", icon=":material/warning:")
    seeds = len(config.seeds)
    grid = figures()
    with grid.cell():
        metric(
            "Runs",
            f"{'up to ' if plan.at_most else ''}{plan.runs:,}",
            "fewer if found sooner" if plan.at_most else "each with its own page",
            "Every run is stored separately. Runs that exist already are not repeated.",
        )
    with grid.cell():
        metric(
            "Time",
            estimated(plan.seconds),
            "at most" if plan.at_most else "all runs",
            f"{words.basis(plan)} Downloads and existing runs are not included.",
        )
    with grid.cell():
        metric(
            "Dense networks",
            f"{plan.dense:,}",
            "trained once per seed" if seeds > 1 else "trained once",
            f"{TERMS['dense']} All runs with the same seed share it.",
        )
    with grid.cell():
        metric(
            "Files",
            f"≈ {size(plan.bytes)}",
            f"kept for {limits.keep_days:g} days",
            "Networks, masks, scores and results of all runs, on the server.",
        )
    if isinstance(config, SearchConfig) and _says_zipped(config):
        st.caption(
            f"The dense network takes ≈ {size(plan.each.bytes)}, and nearly as much zipped: only "
            "removed weights make the zip smaller."
        )
    if isinstance(config, SearchConfig) and config.most_operations is not None:
        st.caption(
            f"The dense network needs ≈ {rough_number(plan.each.macs)} multiply-adds per image."
        )
    if plan.bytes > limits.keep_gigabytes * GIGA:
        st.caption(
            f"That is more than the {limits.keep_gigabytes:g} GB kept on this server: the first "
            "runs will be deleted before the last ones are done."
        )
    if plan.too_long is not None:
        st.caption(f":material/warning: {words.too_long(plan.too_long)}")
    elif plan.seconds > DAY / 2:
        st.caption(words.TOO_LONG)


def _says_zipped(config: SearchConfig) -> bool:
    """Whether the goal is met only in a zip: the file of a network without some of its channels is
    smaller by itself."""
    return config.most_bytes is not None and config.run.kind == WEIGHTS


def problem_of(config: SweepConfig | SearchConfig, visitor: str, limits: Limits) -> str | None:
    """Why the store would refuse this study; None if it would accept it."""
    live = access.blocking_study(config, studies.own(visitor), limits)
    if live is None:
        return None
    return (
        f"{text.title(live)} is still running. Wait for it to finish or stop it first; your "
        "choices here stay in the address."
    )


def show_latest(visitor: str) -> None:
    """The visitor's live studies, polled, or else the latest one."""
    live = any(study.live for study in studies.own(visitor))
    st.fragment(_latest, run_every=POLL if live else None)(visitor, live)


def _latest(visitor: str, followed: bool) -> None:
    mine = studies.own(visitor)
    live = [study for study in mine if study.live]
    if bool(live) != followed:
        st.rerun()
    for study in live or mine[:1]:
        kind, state = text.KINDS[study.kind].lower(), text.state(study)
        headline = f"Your {kind} is" if study.live else f"Your latest {kind}:"
        with st.container(border=True):
            st.caption(f"{text.ICONS[state]} {headline} {state.lower()}, {text.progress(study)}")
            st.page_link(
                pages.COMPARE,
                label=plain(text.title(study)),
                icon=":material/arrow_forward:",
                query_params=pages.to_study(study.id),
            )
