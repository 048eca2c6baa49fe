"""What a run with the settings in the form will take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import access, pages
from app.forms import forecast_words as words
from app.services import CHANNELS, ENCODINGS, PRIMARY, WEIGHTS, Run, RunConfig
from app.services import runs as service
from app.services.estimates import Forecast
from app.ui.figures import sparsity
from app.ui.findings import plain
from app.ui.format import DAY, estimated, percent, rough_number, size
from app.ui.glossary import TERMS
from app.ui.states import ICONS, state
from app.ui.titles import encoding_label, title
from app.ui.when import ago

PLACE = "forecast"
# "11,164,352" has to fit half a phone screen. The forecast stays in view beside a long form.
STYLE = f"""
<style>
.st-key-{PLACE} [data-testid="stMetricValue"] {{ font-size: 1.5rem; }}
@media (min-width: 641px) {{
  [data-testid="stColumn"]:has(.st-key-{PLACE}) {{
    position: sticky; top: 4.5rem; align-self: flex-start;
  }}
}}
</style>
"""
FILES = {
    WEIGHTS: "The ONNX file to download. Removed weights are stored as zeros, so it shrinks only "
    "when it is zipped.",
    CHANNELS: "The ONNX file to download. The weights of removed channels are not in it.",
}


def show_forecast(forecast: Forecast | None, kind: str) -> None:
    """Time, weights, operations and file size. ``kind`` is what is removed."""
    if forecast is None:
        st.caption(words.UNKNOWN)
        return
    estimate = forecast.estimate
    grid = figures()
    with grid.cell():
        metric(
            "Time",
            estimated(estimate.seconds),
            "both networks",
            f"{words.basis(forecast)} Downloads are not included.",
        )
    with grid.cell():
        metric(
            "Weights kept",
            _kept(forecast, kind),
            f"of {estimate.weights:,}",
            f"{TERMS['weights']} {_parameters(forecast, kind)}",
        )
    with grid.cell():
        _operations(estimate.macs, estimate.macs_left, kind)
    for encoding, file in estimate.files.items():
        first = encoding == PRIMARY
        with grid.cell():
            metric(
                "File" if first else f"File ({encoding_label(encoding).lower()})",
                size(file.bytes) if kind == WEIGHTS else f"≈ {size(file.bytes)}",
                f"≈ {size(file.zipped)} zipped",
                FILES[kind] if first else ENCODINGS[encoding].description,
            )
    if forecast.fine_tuning is not None:
        st.caption(words.fine_tuning(forecast.fine_tuning))
    if forecast.too_long is not None:
        st.caption(f":material/warning: {words.too_long(forecast.too_long)}")
    elif estimate.seconds > DAY / 2:
        st.caption(words.TOO_LONG)


def _operations(before: int, after: int, kind: str) -> None:
    """Before and after pruning. Zeros are multiplied like any other number."""
    if kind == WEIGHTS:
        metric("Multiply-adds", rough_number(before), "per image, as before", TERMS["operations"])
        return
    metric(
        "Multiply-adds kept",
        f"≈ {rough_number(after)}",
        f"of {rough_number(before)} per image",
        f"{TERMS['operations']} The estimate assumes that all layers keep the same share.",
    )


def _kept(forecast: Forecast, kind: str) -> str:
    """How many weights: whole channels do not hit a number, and are in multiples."""
    estimate = forecast.estimate
    exact = kind == WEIGHTS or estimate.kept == estimate.weights
    return f"{estimate.kept:,}" if exact else f"≈ {rough_number(estimate.kept)}"


def _parameters(forecast: Forecast, kind: str) -> str:
    if kind != WEIGHTS:
        return "Only whole channels can go, so fewer weights may be left."
    return f"With those, the network has {forecast.estimate.parameters:,} parameters."


def figures() -> Any:
    """A grid for the figures, which stays in view beside a long form."""
    st.html(STYLE)
    return st.grid(2, min_column_width=140, key=PLACE)


def metric(label: str, value: str, below: str, help: str) -> None:
    """A figure with a grey line below it."""
    st.metric(label, value, below, delta_color="off", delta_arrow="off", help=help)


def show_existing(runs: Sequence[Run], config: RunConfig, owner: str) -> None:
    """What the start button will do, given the ``runs`` that exist: open the same run, start one
    whose result exists, or queue a new one."""
    same = service.same(config, runs)
    own = next((run for run in same if access.owns(run, owner) and (run.live or _done(run))), None)
    ahead = sum(run.live for run in runs)
    if own and own.live:
        st.caption("A run with these settings is in progress: the button opens it.")
    elif own:
        when = ago(own.ended or own.created, time.time())
        st.caption(f"You ran this {when}: the button opens the result.")
    elif any(_done(run) for run in same):
        st.caption("A run with these settings was computed here before: its result opens at once.")
    elif ahead:
        st.caption(words.queue(ahead))


def show_latest(runs: Sequence[Run], owner: str) -> None:
    """The visitor's live runs, or else their latest one."""
    own = [run for run in runs if access.owns(run, owner)]
    live = [run for run in own if run.live]
    for run in live or own[:1]:
        headline = "Your run is" if run.live else "Your latest run:"
        share = sparsity(run)
        with st.container(border=True):
            st.caption(f"{ICONS[run.state]} {headline} {state(run).lower()}")
            st.page_link(
                pages.RUN,
                label=plain(title(run)) + (f", {percent(share)} removed" if share else ""),
                icon=":material/arrow_forward:",
                query_params=pages.to_run(run.id),
            )


def _done(run: Run) -> bool:
    return run.state == "done"
