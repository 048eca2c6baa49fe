"""What the widgets of the form hold, under which name, and how the address spells it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from app import services
from app.services import GROUPS, Option, RunConfig
from app.ui.code import PREFIXES
from app.ui.format import to_percent
from app.ui.labels import AUTOMATIC, OWN_IMAGES, OWN_WEIGHTS, PATH, WEIGHTS, WITHOUT_CONTROL, label

IMAGES, WEIGHTS_FILE, FOLDER = "images", "weights-file", "folder"
OWN_FILES = {"data": (OWN_IMAGES, IMAGES), "weights": (OWN_WEIGHTS, WEIGHTS_FILE)}
"""What is chosen for a file of one's own, and the widget with the file."""
"""Names of the widgets that choose a visitor's own zip, weights, or a folder of the machine."""


def key(name: str, group: str = "") -> str:
    """The name of a setting's widget, in the session and in the address; that of the command
    line (``train-lr``), so that an address can be read. A criterion's options begin with it."""
    prefix = PREFIXES.get(group, f"{group}-")
    return (prefix + name).replace("_", "-")


def fill(config: RunConfig) -> None:
    """Let the form show ``config``, whatever it showed. Before its widgets are drawn."""
    for name, value in values_of(config).items():
        st.session_state[name] = value


def address(config: RunConfig) -> dict[str, str]:
    """The parameters of the address under which the form shows ``config``."""
    usual = values_of(RunConfig(method=config.method)) | {key("method"): RunConfig().method}
    return {
        name: spelled(name, value)
        for name, value in values_of(config).items()
        if value != usual.get(name) and value is not None
    }


def values_of(config: RunConfig) -> dict[str, Any]:
    """What the widgets hold when the form shows ``config``."""
    values = of_run(config)
    for option in options_of(config.method):
        given = config.scoring.options.get(option.name, option.default)
        values[key(option.name, config.method)] = shown(option, given)
    return values


def of_run(config: RunConfig, without: Sequence[str] = ()) -> dict[str, Any]:
    """The same of all settings but the criterion's options, and those ``without``."""
    values = {
        key(o.name): shown(o, getattr(config, o.name))
        for o in services.settings_of(RunConfig)
        if o.name not in without
    }
    for group, cls in GROUPS.items():
        settings = getattr(config, group)
        for option in services.settings_of(cls):
            values[key(option.name, group)] = shown(option, getattr(settings, option.name))
    if "sparsity" in values:
        values["sparsity"] = to_percent(config.sparsity)
    # Only images can be named by a path, and only where that is allowed; the box for one's own
    # files says why it cannot have this one.
    for name, file in services.file_settings(config).items():
        if name == "data" and services.paths_allowed() and not services.is_token(file):
            values |= {name: PATH, FOLDER: file}
        elif name in OWN_FILES:
            choice, box = OWN_FILES[name]
            values |= {name: choice, box: _own(file)}
        else:
            group, _, setting = name.rpartition(".")
            values[key(setting, group)] = _own(file)
    return values


def names(without: Sequence[str] = (), method: str = "") -> dict[str, str]:
    """What those settings, and the options of ``method``, are called on screen, by the names of
    their widgets."""
    groups = {"": RunConfig, **GROUPS}
    told = {
        key(o.name, group): o.label or label(o.name, group)
        for group, cls in groups.items()
        for o in services.settings_of(cls)
        if group or o.name not in without
    }
    options = {key(o.name, method): o.label or label(o.name, "option") for o in options_of(method)}
    return told | options


def _own(named: str) -> str:
    """What the box for one's own files holds: a token as it is, of a path only the name."""
    return named if services.is_token(named) else services.display_name(named)


def shown(option: Option, value: Any) -> Any:
    """What the widget of ``option`` holds for ``value``: a selection cannot be None."""
    return AUTOMATIC if value is None and option.choices else value


def options_of(method: str) -> tuple[Option, ...]:
    """The criterion's own options that the form asks for: the seed of the run serves as theirs."""
    if method not in services.METHODS:
        return ()
    return tuple(o for o in services.METHODS[method].options if o.role != services.SEED)


def called(name: str, value: Any) -> str:
    """What the selection ``name`` calls one of its values; in the address too."""
    if name == "model" and value in list(services.MODELS):
        return services.MODELS[value].label
    if name in ("methods", "controls"):
        return called(name.removesuffix("s"), value)
    if name == "data" and value in services.DATASETS:
        return services.DATASETS[value].label
    if name == "method" and value in services.METHODS:
        return services.METHODS[value].label
    if name == "control":
        return services.CONTROLS[value].label if value in services.CONTROLS else WITHOUT_CONTROL
    if value == "auto":
        return AUTOMATIC
    if name == "weights":
        return WEIGHTS.get(value, value)
    if name in (IMAGES, WEIGHTS_FILE):
        return services.display_name(value)
    return str(value)


def spelled(name: str, value: Any) -> Any:
    """How the address says that the widget ``name`` holds ``value``: text, or a list of texts."""
    if isinstance(value, list):
        return [called(name, one) for one in value]
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else called(name, value)
