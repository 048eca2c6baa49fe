"""The names and values of the form's widgets, in the session and in the address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from app import access, services
from app.services import GROUPS, Option, Override, RunConfig
from app.ui.code import PREFIXES
from app.ui.format import fraction_number, to_percent
from app.ui.labels import (
    AUTOMATIC,
    BUDGETS,
    FROM_NETWORK,
    KINDS,
    NORMALISATIONS,
    OWN_IMAGES,
    OWN_NETWORK,
    OWN_WEIGHTS,
    PATH,
    WEIGHTS,
    WITHOUT_CONTROL,
    label,
)
from app.ui.titles import encoding_label

LAYERS = "layer"
"""The box with the settings of single layers."""
IMAGES, WEIGHTS_FILE, NETWORK = "images", "weights-file", "network-file"
"""Widgets that select uploaded images, weights, or a network."""
FOLDER = "folder"
"""The widget with a path on this machine."""
OWN_FILES = {
    "data": (OWN_IMAGES, IMAGES),
    "weights": (OWN_WEIGHTS, WEIGHTS_FILE),
    "model": (OWN_NETWORK, NETWORK),
}
"""By setting, the choice for a file of one's own, and the widget that selects the file."""


def key(name: str, group: str = "") -> str:
    """The name of a setting's widget, in the session and in the address: that of the command line's
    flag (``train-lr``). A criterion's options are prefixed with the criterion."""
    prefix = PREFIXES.get(group, f"{group}-")
    return (prefix + name).replace("_", "-")


def fill(config: RunConfig) -> None:
    """Fill the form with ``config``. Call before its widgets are drawn."""
    for name, value in values_of(config).items():
        st.session_state[name] = value


def address(config: RunConfig) -> dict[str, str]:
    """The query parameters with which the form shows ``config``."""
    usual = values_of(RunConfig(method=config.method)) | {key("method"): RunConfig().method}
    parameters = {
        name: address_value(name, value)
        for name, value in values_of(config).items()
        if value != usual.get(name) and value is not None
    }
    if key("sparsity") in parameters:
        parameters[key("sparsity")] = fraction_number(config.sparsity)
    return parameters


def values_of(config: RunConfig) -> dict[str, Any]:
    """The values of the widgets for ``config``."""
    values = run_values(config)
    for option in options_of(config.method):
        given = config.scoring.options.get(option.name, option.default)
        values[key(option.name, config.method)] = widget_value(option, given)
    return values


def run_values(config: RunConfig, without: Sequence[str] = ()) -> dict[str, Any]:
    """The same without the criterion's options and the settings ``without``."""
    values = {
        key(o.name): widget_value(o, getattr(config, o.name))
        for o in services.settings_of(RunConfig)
        if o.name not in without
    }
    for group, cls in GROUPS.items():
        settings = getattr(config, group)
        for option in services.settings_of(cls):
            values[key(option.name, group)] = widget_value(option, getattr(settings, option.name))
    values[LAYERS] = layers_text(config.layers)
    if "sparsity" in values:
        values["sparsity"] = to_percent(config.sparsity)
    # Images and networks can be given by path, and only where allowed; otherwise the box for
    # uploads says why it cannot use this file.
    for name, file in services.file_settings(config).items():
        by_path = access.paths_allowed() and not services.is_token(file)
        if name == "data" and by_path:
            values |= {name: PATH, FOLDER: file}
        elif name == "model" and by_path:
            values[name] = file
        elif name in OWN_FILES:
            choice, box = OWN_FILES[name]
            values |= {name: choice, box: _file_value(file)}
        else:
            group, _, setting = name.rpartition(".")
            values[key(setting, group)] = _file_value(file)
    if services.is_file(config.model) and config.weights == "pretrained" and "weights" in values:
        values["weights"] = FROM_NETWORK
    return values


def names(without: Sequence[str] = (), method: str = "") -> dict[str, str]:
    """The labels of the settings, and of the options of ``method``, by widget."""
    groups = {"": RunConfig, **GROUPS}
    labels = {
        key(o.name, group): o.label or label(o.name, group)
        for group, cls in groups.items()
        for o in services.settings_of(cls)
        if group or o.name not in without
    }
    labels[LAYERS] = "Layers set by hand"
    options = {key(o.name, method): o.label or label(o.name, "option") for o in options_of(method)}
    return labels | options


def layers_text(layers: Mapping[str, Override]) -> str:
    """The text of the box: ``conv1=dense, layer4.*=0.98``."""
    return ", ".join(
        f"{name}={own if isinstance(own, str) else fraction_number(own)}"
        for name, own in layers.items()
    )


def _file_value(named: str) -> str:
    """The value of the box for uploads: a token as it is, only the name of a path."""
    return named if services.is_token(named) else services.display_name(named)


def widget_value(option: Option, value: Any) -> Any:
    """The value of the widget of ``option`` for ``value``: a selection cannot be None."""
    if isinstance(value, tuple):
        return list(value)
    return AUTOMATIC if value is None and option.choices else value


def options_of(method: str) -> tuple[Option, ...]:
    """The criterion's own options in the form, without its seed, which is the run's."""
    if method not in services.METHODS:
        return ()
    return tuple(o for o in services.METHODS[method].options if o.role != services.SEED)


def choice_label(name: str, value: Any) -> str:
    """The label of a choice of the selection ``name``, on screen and in the address."""
    if name == "model":
        # A path stands whole in the address, as it was typed: its last part leads nowhere.
        return str(value) if services.is_file(str(value)) else services.label_of(str(value))
    if name in ("methods", "controls", "kinds"):
        return choice_label(name.removesuffix("s"), value)
    if name == "data" and value in services.DATASETS:
        return services.DATASETS[value].label
    if name == "method" and value in services.METHODS:
        return services.METHODS[value].label
    if name == "control":
        return services.CONTROLS[value].label if value in services.CONTROLS else WITHOUT_CONTROL
    if name == "encodings":
        return encoding_label(value)
    if name == "kind":
        return KINDS.get(value, value)
    if name == key("channel_budget"):
        return BUDGETS.get(value, value)
    if name == key("normalisation", "loading"):
        return NORMALISATIONS.get(value, AUTOMATIC)
    if value == "auto":
        return AUTOMATIC
    if name == "weights":
        return WEIGHTS.get(value, value)
    if name in (IMAGES, WEIGHTS_FILE, NETWORK):
        return services.display_name(value)
    return str(value)


def address_value(name: str, value: Any) -> Any:
    """The value of widget ``name`` as in the address: text, or a list of texts."""
    if isinstance(value, list):
        return [choice_label(name, one) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else choice_label(name, value)
