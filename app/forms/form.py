"""The whole form."""

from __future__ import annotations

from typing import Any

import streamlit as st

from app import services
from app.forms import everyday
from app.forms.fields import field
from app.forms.held import options_of
from app.services import GROUPS, METHODS, EngineError, RunConfig

TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    # tab: (group of settings, settings of the run itself that stand before them)
    "Criterion": ("scoring", ("layer_floor",)),
    "Training": ("training", ("seed", "device")),
    "Data": ("loading", ()),
}


def show() -> RunConfig:
    """Draw the form and return its settings. Raises ``EngineError`` if one of them cannot be
    used: what stands beside it, in full where a closed tab may hide it."""
    faults: list[EngineError] = []
    own = {option.name: option for option in services.settings_of(RunConfig)}
    values: dict[str, Any] = {"model": everyday.model(faults)}
    start = st.container()  # drawn after the data, which weights have to fit
    values["data"] = everyday.data(faults)
    with start:
        values["weights"] = everyday.weights(values["model"], values["data"], faults)
    values["sparsity"] = everyday.sparsity()
    left, right = st.columns(2)
    with left:
        values["method"] = field(own["method"], faults)
    with right:
        values["epochs"] = field(own["epochs"], faults)
    st.caption(METHODS[values["method"]].description)
    with st.expander("Advanced", icon=":material/tune:"):
        for tab, (group, before) in zip(st.tabs(list(TABS)), TABS.values(), strict=True):
            with tab:
                values |= {name: field(own[name], faults) for name in before}
                if group == "scoring":
                    options = _method_options(values["method"], faults)
                values[group] = {
                    option.name: field(option, faults, group)
                    for option in services.settings_of(GROUPS[group])
                }
    if faults:
        raise faults[0]
    values["scoring"]["options"] = options
    return RunConfig.from_dict(values)


def _method_options(method: str, faults: list[EngineError]) -> dict[str, Any]:
    """The criterion's own options, as far as they differ from their defaults."""
    given = {option: field(option, faults, method) for option in options_of(method)}
    return {option.name: value for option, value in given.items() if value != option.default}
