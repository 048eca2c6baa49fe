"""The settings of single layers: a text, which counts, and a table that edits it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from app.forms.url_state import LAYERS, key, layers_text
from app.services import ALL_KEPT, ConfigError, EngineError, Override, estimates
from app.services import layers as service
from app.ui.findings import show_error
from app.ui.format import exact_percent, read_percent, to_fraction
from app.ui.labels import AUTOMATIC
from prospr_engine.report.charts.layers import label

BETWEEN = re.compile(r"[,;\n]+")
NAME, WEIGHTS, SETTING = "Layer", "Weights", "Removed"
LARGE, SMALL, MEDIUM = 140, 72, 90  # pixels of the columns: they fit a phone
TABLE = "layer-table"
USUAL = (0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
"""Shares removed that the table offers."""
ROW, MOST_ROWS = 35, 15  # pixels of a row; rows that are shown without scrolling
ABOUT = (
    "All layers share one ranking: what scores highest is kept, wherever it is. A layer with a "
    "setting of its own does not take part: *dense* keeps all of it, a percentage is the share of "
    "it that is removed. The others keep what is left of the sparsity above."
)


def show(model: str, data: str, errors: list[EngineError]) -> dict[str, Override]:
    """Draw the settings of single layers and return them; problems as in ``fields.field``."""
    st.caption(ABOUT)
    # The table is above the box, which it edits, and shows what the box says.
    text = str(st.session_state.get(LAYERS, st.query_params.get(LAYERS, "")) or "")
    above = st.container()
    typed = st.text_input(
        "Layers set by hand",
        key=LAYERS,
        placeholder="such as conv1=dense, layer4.*=0.98",
        help="What the table says, as text: names of layers or patterns such as layer4.\\*, each "
        "with the word dense or the fraction that is removed.",
        bind="query-params",
    )
    if text:  # filled in elsewhere, so the table says what of
        st.session_state.setdefault(TABLE, True)
    with above:
        shown = st.toggle(
            "Choose layers in a table", key=TABLE, help="Reads the layers of the network."
        )
    found: dict[str, Override] = {}
    try:
        found = parse(typed or "")
        if sizes := _sizes(model, data) if shown or found else None:
            service.resolve(found, list(sizes))
    except EngineError as error:
        show_error(error)
        errors.append(ConfigError("The settings of layers cannot be used: see the form."))
        return {}
    with above:
        if shown and sizes:
            _table(sizes, found)
        elif shown:
            st.caption("The layers are not known until the network and the images are.")
    return found


def parse(text: str) -> dict[str, Override]:
    """The settings in a text: ``conv1=dense, layer4.*=98%``. Raises ``ConfigError``."""
    found: dict[str, Any] = {}
    for entry in filter(None, (part.strip() for part in BETWEEN.split(text))):
        name, equals, value = (part.strip() for part in entry.rpartition("="))
        if not equals or not name:
            raise ConfigError(
                f"{entry[:40]!r} is no setting of a layer. Give names and settings, such as "
                "conv1=dense, layer4.*=0.98."
            )
        if name in found:
            raise ConfigError(f"The layer {name[:40]!r} is listed twice. Leave one of them out.")
        percent = read_percent(value)
        found[name] = value if percent is None else to_fraction(percent)
    return service.check_layers(found)


def table(sizes: Mapping[str, int], settings: Mapping[str, Override]) -> pd.DataFrame:
    """A row per layer: its name, weights and setting."""
    rows = []
    for number, (name, weights) in enumerate(sizes.items(), 1):
        path, shown = service.layer_name(name), label(name, number)
        full = shown if shown == path else f"{shown} ({path})"
        rows.append((full, weights, shown_setting(settings.get(name))))
    return pd.DataFrame(rows, columns=[NAME, WEIGHTS, SETTING])


def shown_setting(setting: Override | None) -> str:
    """A setting as the table shows it: ``automatic``, ``dense`` or ``98 %``."""
    if setting is None:
        return AUTOMATIC
    return ALL_KEPT if setting == ALL_KEPT else exact_percent(float(setting))


def setting_of(shown: str) -> Override | None:
    """The setting that the table shows so."""
    percent = read_percent(shown)
    if percent is not None:
        return to_fraction(percent)
    return ALL_KEPT if shown == ALL_KEPT else None


def change(
    given: Mapping[str, Override], names: Sequence[str], name: str, setting: Override | None
) -> dict[str, Override]:
    """``given`` with the layer ``name`` at ``setting``, None for automatic. A pattern that the
    layer leaves is replaced by the other layers that it matched."""
    changed = {each: own for each, own in given.items() if not service.names_layer(each, name)}
    if setting is not None:
        return changed | {service.layer_name(name): setting}
    for pattern in [each for each in changed if service.matches(each, name)]:
        own = changed.pop(pattern)
        for other in names:
            exact = any(service.names_layer(each, other) for each in changed)
            if other != name and service.matches(pattern, other) and not exact:
                changed[service.layer_name(other)] = own
    return changed


def _table(sizes: Mapping[str, int], given: Mapping[str, Override]) -> None:
    settings = service.resolve(given, list(sizes))
    fractions = {*USUAL, *(own for own in settings.values() if not isinstance(own, str))}
    options = [AUTOMATIC, ALL_KEPT, *map(shown_setting, sorted(fractions))]
    # With another key after every change, so that the table begins with what the box says.
    editor = f"{TABLE}-{hash((layers_text(given), tuple(sizes.items())))}"
    st.data_editor(
        table(sizes, settings),
        hide_index=True,
        width="stretch",
        height=ROW * (min(len(sizes), MOST_ROWS) + 1) + 3,
        disabled=[NAME, WEIGHTS],
        column_config={
            NAME: st.column_config.TextColumn(width=LARGE),
            WEIGHTS: st.column_config.NumberColumn(format="localized", width=SMALL),
            SETTING: st.column_config.SelectboxColumn(
                options=options,
                required=True,
                width=MEDIUM,
                help="Type any other share in the box below.",
            ),
        },
        key=editor,
        on_change=_take,
        args=(editor, dict(given), list(sizes)),
    )


def _take(editor: str, given: Mapping[str, Override], names: Sequence[str]) -> None:
    """Write what was edited in the table into the box."""
    for place, edit in st.session_state[editor]["edited_rows"].items():
        given = change(given, names, names[int(place)], setting_of(edit[SETTING]))
    st.session_state[LAYERS] = layers_text(service.check_layers(given))


def _sizes(model: str, data: str) -> dict[str, int] | None:
    """The layers; None if they cannot be known, which is explained elsewhere in the form."""
    try:
        images = estimates.images_of(data, st.session_state.get(key("image_size", "loading")))
        return service.sizes(model, images) if images else None
    except EngineError:
        return None
