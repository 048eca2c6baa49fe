"""Layers that do not take part in the competition: kept dense, or pruned to a share of their own.

``layers`` maps names or shell patterns (``layer4.*``) to ``"dense"`` or to the fraction of the
layer that is removed. A layer is called by its module path (``layer1.0.conv1``) or by the name of
its weight (``layer1.0.conv1.weight``). A name goes before a pattern.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

from prospr_engine.errors import ConfigError
from prospr_engine.format import SPACE, brief, exact_percent, fraction_number, listed, to_fraction
from prospr_engine.registry import LONGEST, did_you_mean

ALL_KEPT = "dense"
"""The setting of a layer that keeps all of its weights."""

Override = str | float
"""``ALL_KEPT``, or the fraction of a layer that is removed."""

WEIGHT = ".weight"
WILDCARDS = "*?["
MOST_NAMED = 8  # layers in a message


def check_layers(layers: Mapping[str, Any]) -> dict[str, Override]:
    """``layers``, checked and in one order and form, so that equal settings are equal: "dense", or
    a fraction above 0 and below 1. Raises ``ConfigError`` for anything else."""
    if not isinstance(layers, Mapping):
        raise ConfigError(
            "layers must be an object of names (or patterns) of layers and their settings, such as "
            "{'conv1': 'dense', 'layer4.*': 0.98}."
        )
    for name in layers:
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"layers has the name {brief(name)}; give the name of a layer.")
    return {name: _override(name, layers[name]) for name in sorted(layers)}


def resolve(layers: Mapping[str, Override], names: Sequence[str]) -> dict[str, Override]:
    """The setting of each of ``names`` that has one, by name, in their order: "dense", or the
    fraction removed. ``names`` are module paths or names of weights.

    Raises ``ConfigError`` for a value that is neither, a name or pattern that matches none of
    ``names``, and for settings that contradict each other.
    """
    given = check_layers(layers)
    unused = dict.fromkeys(given)
    found: dict[str, Override] = {}
    for name in names:
        exact = [key for key in given if names_layer(key, name)]
        matching = [key for key in given if matches(key, name)]
        for key in matching:
            unused.pop(key, None)
        deciding = exact or matching
        if deciding:
            found[name] = _agreed(name, {key: given[key] for key in deciding})
    for key in unused:
        raise ConfigError(_unknown(key, [layer_name(name) for name in names]))
    return found


def matches(key: str, name: str) -> bool:
    """Whether ``key``, a name or a pattern, is one of the layer called ``name``."""
    return names_layer(key, name) or any(fnmatchcase(one, key) for one in _names(name))


def names_layer(key: str, name: str) -> bool:
    """Whether ``key`` is the name itself."""
    return key in _names(name)


def _names(name: str) -> tuple[str, str]:
    return layer_name(name), layer_name(name) + WEIGHT


def layer_name(name: str) -> str:
    """The module path in the name of a weight: ``layer1.0.conv1`` for
    ``layer1.0.conv1.weight``."""
    return name.removesuffix(WEIGHT)


def setting_words(override: Override) -> str:
    """``dense`` or ``98 % removed``."""
    return ALL_KEPT if override == ALL_KEPT else f"{exact_percent(float(override))} removed"


def _override(name: str, value: Any) -> Override:
    if isinstance(value, str) and value.strip().lower() == ALL_KEPT:
        return ALL_KEPT
    try:
        fraction = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        fraction = math.nan
    if not 0.0 <= fraction < 1.0:
        hint = did_you_mean(value, [ALL_KEPT]) if isinstance(value, str) else ""
        if 1 < fraction < 100:
            hint = (
                f"; for {fraction_number(fraction)}{SPACE}%, give "
                f"{fraction_number(to_fraction(fraction))}"
            )
        raise ConfigError(
            f"The setting of the layer {brief(name)} is {brief(value)}; give {ALL_KEPT!r}, or the "
            f"fraction of its weights that is removed, at least 0 and below 1{hint}."
        )
    return fraction or ALL_KEPT


def _agreed(name: str, given: Mapping[str, Override]) -> Override:
    """The setting in which all of ``given`` agree."""
    (first, value), *others = given.items()
    for other, its in others:
        if its != value:
            raise ConfigError(
                f"The layer {layer_name(name)!r} has two settings: {setting_words(value)} from "
                f"{brief(first)}, and {setting_words(its)} from {brief(other)}; leave one of them "
                "out, or give the layer's own name, which goes before patterns."
            )
    return value


def _unknown(key: str, names: Sequence[str]) -> str:
    wild = next((place for place, sign in enumerate(key) if sign in WILDCARDS), None)
    if wild is not None:
        # The part of a path before the wildcard may be misspelt: ``layr4.*``.
        stem, rest = key[:wild].rstrip("."), key[len(key[:wild].rstrip(".")) :]
        parts = (name.split(".") for name in names)
        parents = {".".join(path[:depth]) for path in parts for depth in range(1, len(path))}
        near = [parent + rest for parent in _near(stem, sorted(parents))]
        near = [one for one in near if any(fnmatchcase(name, one) for name in names)][:1]
        what = f"The pattern {brief(key)} matches no layer"
    else:
        below = any(name.startswith(f"{key}.") for name in names)
        near = [f"{key}.*"] if below else _near(layer_name(key), names)
        what = f"There is no layer called {brief(key)}"
    hint = f" (did you mean {' or '.join(map(repr, near))}?)" if near else ""
    return f"{what}{hint}. The layers that can be pruned are {listed(names, MOST_NAMED)}."


def _near(typed: str, names: Sequence[str]) -> list[str]:
    plain = {name.lower(): name for name in reversed(names)}
    close = get_close_matches(typed[:LONGEST].lower(), list(plain), n=3, cutoff=0.6)
    return [plain[one] for one in close]
