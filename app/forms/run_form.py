"""The whole form of a run, and the parts of it that other forms have, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from app import services
from app.forms import basic_fields
from app.forms.fields import field
from app.forms.url_state import options_of
from app.services import GROUPS, METHODS, EngineError, Option, RunConfig, is_control
from app.ui.titles import control_label

TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    # tab: (group of settings, settings of the run itself that stand before them)
    "Criterion": ("scoring", ("layer_floor", "control")),
    "Training": ("training", ("seed", "device")),
    "Data": ("loading", ()),
}
OWN: dict[str, Option] = {option.name: option for option in services.settings_of(RunConfig)}


def show() -> RunConfig:
    """Draw the form and return its settings. Raises ``EngineError`` if one of them cannot be
    used: what stands beside it, in full where a closed tab may hide it."""
    faults: list[EngineError] = []
    values = network_and_images(faults)
    values["sparsity"] = basic_fields.sparsity()
    values |= method_and_epochs(faults)
    changed = st.container()
    values |= advanced(faults, lambda: method_options(values["method"], faults))
    if is_control(values["control"]):  # it stands in a tab that may be closed
        called = control_label(values["control"])
        changed.caption(f":material/experiment: As a control: {called} (Advanced, Criterion).")
    if faults:
        raise faults[0]
    return RunConfig.from_dict(values)


def network_and_images(faults: list[EngineError]) -> dict[str, Any]:
    """What is pruned, and what it learns from."""
    values: dict[str, Any] = {"model": basic_fields.model(faults)}
    start = st.container()  # drawn after the data, which weights have to fit
    values["data"] = basic_fields.data(faults)
    with start:
        values["weights"] = basic_fields.weights(values["model"], values["data"], faults)
    return values


def method_and_epochs(faults: list[EngineError]) -> dict[str, Any]:
    """The criterion, and how long both networks train."""
    left, right = st.columns(2)
    with left:
        method = field(OWN["method"], faults)
    with right:
        epochs = field(OWN["epochs"], faults)
    st.caption(METHODS[method].description)
    return {"method": method, "epochs": epochs}


def advanced(
    faults: list[EngineError],
    options: Callable[[], Mapping[str, Any]],
    without: Sequence[str] = (),
    own: Mapping[str, Option] = OWN,
) -> dict[str, Any]:
    """All other settings of a run but those ``without``; ``options`` draws those of the
    criterion."""
    values: dict[str, Any] = {}
    with st.expander("Advanced", icon=":material/tune:"):
        for tab, (group, before) in zip(st.tabs(list(TABS)), TABS.values(), strict=True):
            with tab:
                for name in before:
                    if name not in without:
                        values[name] = field(own[name], faults)
                chosen = {"options": options()} if group == "scoring" else {}
                values[group] = chosen | {
                    option.name: field(option, faults, group)
                    for option in services.settings_of(GROUPS[group])
                }
    return values


def method_options(method: str, faults: list[EngineError]) -> dict[str, Any]:
    """The criterion's own options, as far as they differ from their defaults."""
    given = {option: field(option, faults, method) for option in options_of(method)}
    return {option.name: value for option, value in given.items() if value != option.default}
