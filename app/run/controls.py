"""Controls of a run: start each with one click, and compare their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import streamlit as st

from app import forms, pages, session
from app.run import controls_words as words
from app.services import (
    CHANNELS,
    CONTROLS,
    METHODS,
    NO_CONTROL,
    EngineError,
    Run,
    RunConfig,
    SweepConfig,
    is_control,
)
from app.services import runs as service
from app.ui import figures
from app.ui.findings import plain, show_error
from app.ui.format import accuracy
from app.ui.glossary import TERMS
from app.ui.states import ICONS, state
from app.ui.titles import control_label, method_label

POLL = 2.0  # seconds between two polls of live controls
PROBLEM = "controls-problem"  # in the session: why controls could not be started
SEEDS = 3  # of the suggested sweep
QUESTION, ANCHOR = "Does the choice of weights matter?", "controls"
OF_CHANNELS = "Does the choice of channels matter?"


def show_controls(run: Run) -> None:
    """The section of a finished run's page. Only this part is redrawn while controls are live. A
    run that is a control has no such section."""
    if is_control(run.settings.get("control")):
        return
    question = OF_CHANNELS if run.settings.get("kind") == CHANNELS else QUESTION
    st.subheader(question, anchor=ANCHOR, help=TERMS["control"])
    if reason := words.no_controls(run):
        st.caption(reason)
        return
    try:
        known = service.controls_of(run.config, session.visitor())
    except EngineError as error:
        st.caption(plain(str(error)))
        return
    st.markdown(words.ABOUT)
    method = METHODS.get(run.config.method)
    if method and method.by_chance:
        st.caption(words.BY_CHANCE)
    polling = any(control.live for control in _controls(known).values())
    st.fragment(_poll, run_every=POLL if polling else None)(run, polling)


def show_controls_link(run: Run) -> None:
    """A link to that section."""
    if not is_control(run.settings.get("control")) and not words.no_controls(run):
        st.markdown(f"[{QUESTION}](#{ANCHOR}) A random choice might do as well.")


def show_original(run: Run) -> None:
    """For a run that is a control: what it controls, and a link to its original."""
    name = run.settings.get("control", NO_CONTROL)
    if name not in CONTROLS:
        return
    with st.container(border=True):
        st.markdown(
            f":material/experiment: **This run is a control: {control_label(name)}.** "
            f"{words.described(name)}"
        )
        try:
            original = service.controls_of(run.config, session.visitor()).get(NO_CONTROL)
        except EngineError as error:
            show_error(error)
            return
        if original is None:
            st.caption("The original run is not one of yours.")
        else:
            st.page_link(
                pages.RUN,
                label=f"See the original{_accuracy(original)}",
                icon=":material/arrow_back:",
                query_params=pages.to_run(original.id),
            )


def _poll(run: Run, polling: bool) -> None:
    try:
        known = _controls(service.controls_of(run.config, session.visitor()))
        for control in known.values():
            if control.live:
                service.find(control.id)  # makes sure that there is a worker
                break
    except EngineError as error:
        show_error(error)  # the next poll may succeed
        return
    if any(control.live for control in known.values()) != polling:
        st.rerun()
    missing = [name for name in CONTROLS if name not in known or _without_result(known[name])]
    _offer_all(run, missing)
    if PROBLEM in st.session_state:
        show_error(st.session_state.pop(PROBLEM))
    _cards(run, known)
    _verdict(run, known)


def _cards(run: Run, known: Mapping[str, Run]) -> None:
    """The original and its controls, side by side."""
    grid = st.grid(4, min_column_width=190, key="controls")
    original = words.measured(run)
    with grid.cell(), st.container(border=True, height="stretch"):
        st.markdown(f"**{plain(method_label(run.config.method))}**")
        if original:
            st.metric(
                "Accuracy, pruned",
                accuracy(original.accuracy),
                "the original",
                delta_color="off",
                delta_arrow="off",
            )
        st.caption(
            "The run on this page: the criterion chose the weights, and they keep their initial "
            "values."
        )
    for name, spec in CONTROLS.items():
        with grid.cell(), st.container(border=True, height="stretch"):
            st.markdown(f"**{spec.label}**")
            _card(run, name, known.get(name), original)
            st.caption(words.described(name))


def _card(run: Run, name: str, control: Run | None, original: words.Measured | None) -> None:
    if control is None or _without_result(control):
        if control is not None:
            st.markdown(f"{ICONS[control.state]} {state(control)}")
            if control.error:
                st.caption(plain(control.error))
        st.button(
            f"Run {control_label(name)}" + (" again" if control is not None else ""),
            icon=":material/play_arrow:",
            key=f"control-{name}",
            on_click=_start,
            args=(run.config, [name]),
        )
        return
    found = words.measured(control)
    if found is None:
        st.markdown(f"{ICONS[control.state]} {state(control)}")
    else:
        below = words.change(original, found) if original else ""
        st.metric(
            "Accuracy, pruned", accuracy(found.accuracy), below, delta_color="off",
            delta_arrow="off",
        )  # fmt: skip
    st.page_link(
        pages.RUN,
        label=f"Open {control_label(name)}",
        icon=":material/arrow_forward:",
        query_params=pages.to_run(control.id),
    )


def _offer_all(run: Run, missing: Sequence[str]) -> None:
    if len(missing) < 2:
        return
    st.button(
        f"Run {'all' if len(missing) == len(CONTROLS) else 'the other'} controls",
        icon=":material/experiment:",
        key="controls-all",
        on_click=_start,
        args=(run.config, list(missing)),
        help="Each is a run with the same settings. Cached scores and dense networks are reused, "
        "so a control takes about half as long.",
    )


def _verdict(run: Run, known: Mapping[str, Run]) -> None:
    """What the finished controls show together, and links to more."""
    done = {name: control for name, control in known.items() if control.state == "done"}
    original = words.measured(run)
    found = {name: m for name, control in done.items() if (m := words.measured(control))}
    if original and found:
        st.markdown(words.verdict(original, found))
    with st.container(horizontal=True):
        if done:
            st.page_link(
                pages.COMPARE,
                label="Compare them with the original",
                icon=":material/compare_arrows:",
                query_params=pages.to_comparison([run.id, *(c.id for c in done.values())]),
            )
        if wider := _sweep(run.config):
            st.page_link(
                pages.SWEEP,
                label=f"Repeat with {SEEDS} seeds",
                icon=":material/grid_view:",
                query_params=forms.grid_address(wider),
                help="Opens the form of a sweep with these settings; nothing starts yet.",
            )


def _sweep(config: RunConfig) -> SweepConfig | None:
    """The run and its controls over several seeds, if a sweep allows such settings."""
    usual = RunConfig()
    shared = {name: getattr(usual, name) for name in ("method", "sparsity", "seed", "control")}
    try:
        return SweepConfig(
            run=dataclasses.replace(config, **shared),
            methods=(config.method,),
            sparsities=(config.sparsity,),
            seeds=tuple(range(config.seed, config.seed + SEEDS)),
            controls=(NO_CONTROL, *CONTROLS),
        )
    except EngineError:
        return None


def _start(config: RunConfig, names: Sequence[str]) -> None:
    # A callback, because it runs first: see ``live``.
    try:
        for name in names:
            service.start(dataclasses.replace(config, control=name), session.visitor())
    except EngineError as error:
        st.session_state[PROBLEM] = str(error)


def _controls(known: Mapping[str, Run]) -> dict[str, Run]:
    return {name: known[name] for name in CONTROLS if name in known}


def _without_result(run: Run) -> bool:
    """Whether the run ended without a result."""
    return run.state in ("failed", "stopped")


def _accuracy(run: Run) -> str:
    share = figures.pruned(run)
    return f" ({accuracy(share)})" if share is not None else ""
