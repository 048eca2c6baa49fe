"""What the settings in the form will take, beside the form."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import access, pages
from app.forms import forecast_words as words
from app.services import Run, RunConfig
from app.services import runs as service
from app.services.estimates import Forecast
from app.ui.figures import sparsity
from app.ui.findings import plain
from app.ui.format import DAY, estimated, percent, rough_number, size
from app.ui.glossary import TERMS
from app.ui.states import ICONS, state
from app.ui.titles import title
from app.ui.when import ago

PLACE = "forecast"
# "11,164,352" has to fit into half of a telephone's screen. Beside a long form, what the settings
# will take stays in view while they change.
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
UNKNOWN = (
    "The images have several sizes; how long a run takes shows when they are read. Choose an "
    "image size (Advanced, Data) to see an estimate now."
)


def show_forecast(forecast: Forecast | None) -> None:
    """Time, weights, operations and file size; they move with the slider."""
    if forecast is None:
        st.caption(UNKNOWN)
        return
    told = forecast.told
    grid = figures()
    with grid.cell():
        metric(
            "Time",
            estimated(told.seconds),
            "both networks",
            f"{words.rests_on(forecast)} Downloading images is not counted.",
        )
    with grid.cell():
        metric(
            "Weights kept",
            f"{told.kept:,}",
            f"of {told.weights:,}",
            f"{TERMS['weights']} With those, the network has {told.parameters:,} parameters.",
        )
    with grid.cell():
        metric(
            "Operations kept",
            f"≈ {rough_number(told.macs_left)}",
            f"of {rough_number(told.macs)} per image",
            f"{TERMS['operations']} The estimate takes all layers to keep the same share.",
        )
    with grid.cell():
        metric(
            "File",
            size(told.bytes),
            f"≈ {size(told.zipped)} zipped",
            "The ONNX file to download. Removed weights are stored as zeros, so it shrinks only "
            "when it is zipped.",
        )
    if told.seconds > DAY / 2:
        st.caption(words.TOO_LONG)


def figures() -> Any:
    """The place of the figures, which stays in view beside a long form."""
    st.html(STYLE)
    return st.grid(2, min_column_width=140, key=PLACE)


def metric(label: str, value: str, below: str, help: str) -> None:
    """A figure, and in grey what stands below it."""
    st.metric(label, value, below, delta_color="off", delta_arrow="off", help=help)


def show_standing(runs: Sequence[Run], config: RunConfig, owner: str) -> None:
    """What the button would do among the ``runs`` there are: whether it starts anything, or the
    same was run before; and who comes first."""
    same = service.same(config, runs)
    own = next((run for run in same if access.owns(run, owner) and (run.live or _done(run))), None)
    ahead = sum(run.live for run in runs)
    if own and own.live:
        st.caption("These settings are running already: the button opens that run.")
    elif own:
        when = ago(own.ended or own.created, time.time())
        st.caption(f"You ran this {when}: the button opens the result.")
    elif any(_done(run) for run in same):
        st.caption("These settings have been run here before: the result will be there at once.")
    elif ahead:
        st.caption(words.queue(ahead))


def show_latest(runs: Sequence[Run], owner: str) -> None:
    """The visitor's runs under way, else their latest, if there is any."""
    own = [run for run in runs if access.owns(run, owner)]
    live = [run for run in own if run.live]
    for run in live or own[:1]:
        word = "Your run in progress" if run.live else "Your latest run"
        share = sparsity(run)
        with st.container(border=True):
            st.caption(f"{ICONS[run.state]} {word}: {state(run).lower()}")
            st.page_link(
                pages.RUN,
                label=plain(title(run)) + (f", {percent(share)} removed" if share else ""),
                icon=":material/arrow_forward:",
                query_params=pages.to_run(run.id),
            )


def _done(run: Run) -> bool:
    return run.state == "done"
