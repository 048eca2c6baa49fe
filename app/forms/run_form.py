"""The form of a run, and the parts that other forms share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from app import services
from app.forms import basic_fields, layer_settings
from app.forms.fields import field
from app.forms.url_state import options_of
from app.services import (
    CHANNELS,
    GROUPS,
    METHODS,
    WEIGHTS,
    EngineError,
    Option,
    RunConfig,
    is_control,
)
from app.ui.findings import show_error
from app.ui.labels import NO_ZEROS
from app.ui.titles import control_label

TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    # tab: (group of settings or "", settings of the run itself shown before them)
    "Criterion": (
        "scoring",
        ("channel_budget", "channel_multiple", "layer_floor", "control"),
    ),
    "Training": ("training", ("seed", "device")),
    "Data": ("loading", ()),
    "Files": ("", ("encodings",)),
}
NOT_FOR = {
    WEIGHTS: ("channel_budget", "channel_multiple"),
    CHANNELS: ("layer_floor", "control", "check_ranking"),
}
"""Settings that do not concern one kind of pruning."""
OWN: dict[str, Option] = {option.name: option for option in services.settings_of(RunConfig)}


def show() -> RunConfig:
    """Draw the form and return its settings. Raises ``EngineError`` with the first message shown
    in the form, which may be in a closed tab."""
    errors: list[EngineError] = []
    values = network_and_images(errors)
    values["kind"] = basic_fields.kind()
    values["sparsity"] = basic_fields.sparsity()
    values |= method_and_epochs(errors)
    check_kind(values["method"], values["kind"], errors)
    changed = st.container()
    without = NOT_FOR[values["kind"]]
    values |= {name: OWN[name].default for name in without if name in OWN}
    layers = partial(layer_settings.show, values["model"], values["data"], errors)
    values |= advanced(errors, lambda: method_options(values["method"], errors), layers, without)
    if is_control(values["control"]):  # set in a tab that may be closed
        label = control_label(values["control"])
        changed.caption(
            f":material/experiment: This run is a control: {label} (Advanced, Criterion)."
        )
    if errors:
        raise errors[0]
    return RunConfig.from_dict(values)


def foreign(kinds: Sequence[str]) -> tuple[str, ...]:
    """The settings that concern none of these kinds of pruning."""
    return NOT_FOR[kinds[0]] if len(kinds) == 1 else ()


def check_kind(method: str, kind: str, errors: list[EngineError]) -> None:
    """Say so if the criterion cannot rank what is to be removed."""
    try:
        METHODS[method].check_kind(kind)
    except EngineError as error:
        show_error(error)
        errors.append(error)


def network_and_images(errors: list[EngineError]) -> dict[str, Any]:
    """The network, the images and the initial weights."""
    values: dict[str, Any] = {"model": basic_fields.model(errors)}
    start = st.container()  # filled after the data, which the weights must match
    values["data"] = basic_fields.data(errors)
    with start:
        values["weights"] = basic_fields.weights(values["model"], values["data"], errors)
    return values


def method_and_epochs(errors: list[EngineError]) -> dict[str, Any]:
    """The criterion and the number of epochs."""
    left, right = st.columns(2)
    with left:
        method = field(OWN["method"], errors)
    with right:
        epochs = field(OWN["epochs"], errors)
    st.caption(METHODS[method].description)
    return {"method": method, "epochs": epochs}


def advanced(
    errors: list[EngineError],
    options: Callable[[], Mapping[str, Any]],
    layers: Callable[[], Mapping[str, Any]],
    without: Sequence[str] = (),
    own: Mapping[str, Option] = OWN,
) -> dict[str, Any]:
    """All other settings of a run except ``without``; ``options`` draws those of the criterion,
    ``layers`` those of single layers."""
    values: dict[str, Any] = {}
    with st.expander("Advanced", icon=":material/tune:"):
        *tabs, last = st.tabs([*TABS, "Layers"])
        for tab, (group, before) in zip(tabs, TABS.values(), strict=True):
            with tab:
                for name in before:
                    if name not in without:
                        values[name] = field(own[name], errors)
                if group:
                    chosen = {"options": options()} if group == "scoring" else {}
                    values[group] = chosen | {
                        option.name: field(option, errors, group)
                        for option in services.settings_of(GROUPS[group])
                        if option.name not in without
                    }
                if "encodings" in before:
                    _about_files(values["encodings"], without == NOT_FOR[CHANNELS])
        with last:
            values["layers"] = layers()
    return values


def _about_files(encodings: Sequence[str], channels: bool) -> None:
    """What each of the chosen files is good for; ``channels``: if only channels are removed."""
    rows = [services.ENCODINGS[name] for name in encodings if name in services.ENCODINGS]
    st.caption("\n".join(f"- **{row.label}**: {row.description}" for row in rows))
    if channels:
        st.caption(NO_ZEROS)


def method_options(method: str, errors: list[EngineError]) -> dict[str, Any]:
    """The criterion's own options that differ from their defaults."""
    given = {option: field(option, errors, method) for option in options_of(method)}
    return {option.name: value for option, value in given.items() if value != option.default}
