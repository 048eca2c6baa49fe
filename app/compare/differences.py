"""The settings in which two runs differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.services import METHODS, RunConfig, display_name, setting_words
from app.ui.format import percent
from app.ui.labels import AUTOMATIC, UNSET, WEIGHTS, label
from app.ui.titles import control_label, data_label, model_label

MISSING = object()
DEFAULTS = RunConfig().to_dict()
LAYERS = "layers"  # the group of the settings of single layers
OPTION = "option"  # the group of the options of a criterion


@dataclass(frozen=True)
class Difference:
    """A setting and its values in the first and the second run, as shown."""

    name: str
    first: str
    second: str


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[Difference]:
    """All settings that differ, in the order of the form. ``first`` and ``second`` are as
    ``RunConfig.to_dict`` of any version returns them: a missing setting has its default, if that
    is known."""
    one, other, usual = dict(_flat(first)), dict(_flat(second)), dict(_flat(DEFAULTS))
    if first.get("method") == second.get("method"):
        usual |= dict(_options(str(first.get("method"))))
    pairs = (
        (key, one.get(key, usual.get(key, MISSING)), other.get(key, usual.get(key, MISSING)))
        for key in dict.fromkeys((*one, *other))
    )
    return [
        Difference(f"Layer {name}", _of_layer(a), _of_layer(b))
        if group == LAYERS
        else Difference(label(name, group), _shown(name, a), _shown(name, b))
        for (group, name), a, b in pairs
        if a != b
    ]


def sentence(found: Sequence[Difference]) -> str:
    """``They differ in: sparsity 90 % / 95 %, seed 0 / 1.``"""
    if not found:
        return "Their settings are the same."
    listed = (f"{d.name[:1].lower()}{d.name[1:]} {d.first} / {d.second}" for d in found)
    return f"They differ in: {', '.join(listed)}."


def _flat(values: Mapping[str, Any], group: str = "") -> Iterator[tuple[tuple[str, str], Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, OPTION if name == "options" else name)
        else:
            yield (group, name), value


def _options(method: str) -> Iterator[tuple[tuple[str, str], Any]]:
    for option in METHODS[method].options if method in METHODS else ():
        yield (OPTION, option.name), option.default


def _of_layer(setting: Any) -> str:
    return AUTOMATIC if setting is MISSING else setting_words(setting)


def _shown(name: str, value: Any) -> str:
    if value is MISSING:
        return "not set"
    if value is None:
        return UNSET.get(name, AUTOMATIC)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "sparsity" and isinstance(value, int | float):
        return percent(value)
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if name == "method" and value in METHODS:
        return METHODS[value].label
    if name == "control":
        return control_label(value) or "none"
    if name == "weights" and value in WEIGHTS:
        return WEIGHTS[value]
    shown = {"model": model_label, "data": data_label, "weights": display_name}.get(name, str)
    return shown(str(value))
