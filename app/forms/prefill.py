"""Values that an address or a run requests for a form, and those that the form cannot use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import streamlit as st

from app import services
from app.forms.url_state import FOLDER, IMAGES, NETWORK, WEIGHTS_FILE, address_value, choice_label
from app.ui.findings import plain
from app.ui.labels import AUTOMATIC, KINDS, UNSET
from app.ui.share_slider import addressed

REQUESTED, READ, UNUSABLE = "requested", "address-read", "unusable"
LONGEST = 40  # characters of a value that a message repeats


@dataclass(frozen=True)
class Choice:
    """A choice that is no row of a table."""

    name: str
    label: str


_KINDS = {name: Choice(name, label) for name, label in KINDS.items()}
TABLES: dict[str, Mapping[str, Any]] = {
    "data": services.DATASETS,
    "method": services.METHODS,
    "control": services.CONTROLS,
    "methods": services.METHODS,
    "controls": services.CONTROLS,
    "kind": _KINDS,
    "kinds": _KINDS,
    "encodings": services.ENCODINGS,
}
LISTS = ("methods", "controls", "kinds", "encodings")
OWN = (IMAGES, WEIGHTS_FILE, NETWORK, FOLDER)  # problems with these are shown below them


def read_address(form: str) -> None:
    """Remember what the address requests of ``form``. Only the first call has an effect: later the
    address follows the form. Call before the widgets are drawn. Names in the engine's tables
    (``cifar10``) work like their labels."""
    if f"{READ}-{form}" in st.session_state:
        return
    requested: dict[str, Any] = st.query_params.to_dict()
    if (percent := addressed("sparsity")) is not None:
        requested["sparsity"] = f"{percent:.12g}"
    for name, table in TABLES.items():
        typed = st.query_params.get_all(name)
        rows = [row for one in typed for row in table.values() if _names(one, row)]
        if not rows:
            continue
        # Streamlit finds no such label in the address and keeps this value.
        if name in LISTS:
            st.session_state[name] = list(dict.fromkeys(row.name for row in rows))
            unknown = [one for one in typed if not any(_names(one, row) for row in rows)]
            requested[name] = [*(row.label for row in rows), *unknown]
        else:
            st.session_state[name] = rows[-1].name
            requested[name] = rows[-1].label
    _remember(form, "The address asks", requested)


def expect(form: str, values: Mapping[str, Any]) -> None:
    """Remember that ``values`` were filled into ``form``. Call before its widgets are drawn."""
    requested = {name: address_value(name, v) for name, v in values.items() if v is not None}
    _remember(form, "These settings ask", requested)


def show_unusable(form: str, names: Mapping[str, str]) -> None:
    """Say which requested values cannot be used, until the visitor changes those settings.
    ``names`` are the labels of the settings by widget. Call after the widgets are drawn."""
    requested, unusable = f"{REQUESTED}-{form}", f"{UNUSABLE}-{form}"
    if requested in st.session_state:
        source, wanted = st.session_state.pop(requested)
        st.session_state[unusable] = _unusable(source, wanted, names)
    lines = [
        sentence
        for name, value, sentence in st.session_state.get(unusable, ())
        if name in st.session_state and st.session_state[name] == value
    ]
    if lines:
        st.warning("  \n".join(lines), icon=":material/link_off:")


def _names(typed: str, row: Any) -> bool:
    return typed.casefold() in (row.name.casefold(), row.label.casefold())


def _remember(form: str, source: str, requested: dict[str, Any]) -> None:
    st.session_state[f"{READ}-{form}"] = True
    st.session_state[f"{REQUESTED}-{form}"] = (source, requested)


def _unusable(
    source: str, requested: Mapping[str, Any], names: Mapping[str, str]
) -> list[tuple[str, Any, str]]:
    """Name, current value, and a sentence for every setting whose value is not as requested."""
    unusable = []
    for name, setting in names.items():
        wanted, value = requested.get(name, ""), st.session_state.get(name)
        if not wanted or name not in st.session_state or _matches(name, wanted, value):
            continue
        text = ", ".join(wanted) if isinstance(wanted, list) else wanted
        short = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        sentence = (
            f"{source} for {setting[:1].lower()}{setting[1:]} {short}, which cannot be used here; "
            f"{_shown(name, value)} is shown."
        )
        unusable.append((name, value, plain(sentence)))
    return unusable


def _matches(name: str, requested: Any, value: Any) -> bool:
    if isinstance(value, list):
        wanted = requested if isinstance(requested, list) else [requested]
        return {choice_label(name, one) for one in value} == set(wanted)
    if isinstance(value, bool):
        return bool(requested.lower() == str(value).lower())
    if isinstance(value, int | float):
        try:
            return float(requested) == value
        except ValueError:
            return False
    return value is not None and requested in (str(value), choice_label(name, value))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return UNSET.get(name.replace("-", "_"), AUTOMATIC)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(address_value(name, value)) or "none"
    return f"{address_value(name, value)}" + ("\N{NO-BREAK SPACE}%" if name == "sparsity" else "")
