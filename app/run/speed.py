"""Will it be faster? The files of a run as they were timed, and what to do if they are not."""

from __future__ import annotations

import dataclasses

import pandas as pd
import streamlit as st

from app.run.another import start_another
from app.services import (
    ALL_KEPT,
    CHANNELS,
    METHODS,
    NO_CONTROL,
    PRIMARY,
    REFERENCE,
    WEIGHTS,
    ConfigError,
    Latency,
    Run,
    RunConfig,
    RunRecord,
    Timing,
)
from app.ui.findings import plain
from app.ui.format import SPACE, counted, milliseconds
from app.ui.glossary import TERMS
from app.ui.titles import encoding_label

TWIN = 0.5
"""The share of the multiply-adds that the offered run removes."""
WHY = (
    "Zeros are multiplied like any other number: without some of its weights a network computes as "
    "much as before."
)


def show_speed(run: Run, result: RunRecord) -> None:
    """The section of a finished run's page; nothing if an earlier version did not time files."""
    latency = result.latency
    if latency is None:
        return
    st.markdown("### Will it be faster?", help=TERMS["latency"])
    if not latency.timings:
        st.caption(plain(f"The files were not timed: {latency.reason}"))
        return
    st.markdown(f"**{plain(headline(latency))}**")
    st.table(table(latency), hide_index=True)
    threads = counted(latency.threads, "thread")
    st.caption(
        f"ONNX Runtime on {plain(result.environment.device_name)} with {threads}, the files in "
        "turns. Medians, and in brackets the middle half. Other machines differ; the ratio less so."
    )
    if result.config.kind == WEIGHTS and result.pruning.sparsity.achieved:
        _offer_channels(run)


def headline(latency: Latency) -> str:
    """The verdict on the dense-encoded file, as a sentence."""
    verdict = latency.verdicts.get(PRIMARY, "")
    return f"{verdict[:1].upper()}{verdict[1:]}." if verdict else "It is not known."


def table(latency: Latency) -> pd.DataFrame:
    """A row per file, the network before pruning first: the time of each batch, and how many times
    as fast it is."""
    names = dict.fromkeys(timing.file for timing in latency.timings)
    batches = sorted({timing.batch for timing in latency.timings})
    rows = []
    for name in sorted(names, key=lambda name: name != REFERENCE):
        label = encoding_label(name)
        pruned = f"Pruned ({label[:1].lower()}{label[1:]})"
        row = {"File": "Before pruning" if name == REFERENCE else pruned}
        for batch in batches:
            found = (t for t in latency.timings if (t.file, t.batch) == (name, batch))
            row[counted(batch, "image")] = _cell(next(found, None), name != REFERENCE)
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(timing: Timing | None, compared: bool) -> str:
    if timing is None:
        return "–"
    low, high = (milliseconds(limit).split(SPACE)[0] for limit in (timing.low_ms, timing.high_ms))
    text = f"{milliseconds(timing.median_ms)} ({low}{SPACE}to{SPACE}{high})"
    if compared:
        text += ", same" if timing.same else f", {timing.speedup:.1f}{SPACE}×"
    return text


def twin(config: RunConfig) -> RunConfig:
    """The same run with channels removed, and half of the multiply-adds with them. Layers that are
    kept dense stay so; shares of single weights are no shares of channels."""
    dense = {name: setting for name, setting in config.layers.items() if setting == ALL_KEPT}
    return dataclasses.replace(
        config,
        kind=CHANNELS,
        channel_budget="operations",
        sparsity=TWIN,
        layers=dense,
        # What only concerns single weights:
        control=NO_CONTROL,
        layer_floor=0,
        scoring=dataclasses.replace(config.scoring, check_ranking=False),
    )


def no_twin(run: Run) -> str:
    """Why there is no such run; "" if there is."""
    try:
        config = run.config
        METHODS.find(config.method).check_kind(CHANNELS)
    except ConfigError as error:
        return str(error)
    return ""


def _offer_channels(run: Run) -> None:
    st.markdown(f"{WHY} To be faster, it has to lose whole channels.")
    reason = no_twin(run)
    if st.button(
        f"Remove half of the multiply-adds instead: about {1 / (1 - TWIN):.0f} times as fast",
        icon=":material/speed:",
        key="twin",
        disabled=bool(reason),
        help=reason
        or "A new run with the same settings that removes channels. The gain is estimated from the "
        "multiply-adds.",
    ):
        start_another(run, twin)
