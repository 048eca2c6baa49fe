"""What an address or a run asked of a form, and what the form could not do of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import services
from app.forms.url_state import FOLDER, IMAGES, WEIGHTS_FILE, called, spelled
from app.ui.findings import plain
from app.ui.labels import AUTOMATIC, UNSET

ASKED, READ, UNMET = "asked", "address-read", "unmet"
LONGEST = 40  # characters of a value that are repeated
TABLES: dict[str, Mapping[str, Any]] = {
    "data": services.DATASETS,
    "method": services.METHODS,
    "control": services.CONTROLS,
    "methods": services.METHODS,
    "controls": services.CONTROLS,
}
LISTS = ("methods", "controls")
OWN = (IMAGES, WEIGHTS_FILE, FOLDER)  # what is wrong with these stands beneath them


def read_address(form: str) -> None:
    """Remember what the address asks of ``form``, once: later it follows the form. Before the
    widgets are drawn. Names of the engine's tables (``cifar10``) are understood in the place of
    labels."""
    if f"{READ}-{form}" in st.session_state:
        return
    asked: dict[str, Any] = st.query_params.to_dict()
    for name, table in TABLES.items():
        typed = st.query_params.get_all(name)
        rows = [row for one in typed for row in table.values() if _means(one, row)]
        if not rows:
            continue
        # Streamlit looks for a label, finds none, and leaves this in place.
        if name in LISTS:
            st.session_state[name] = list(dict.fromkeys(row.name for row in rows))
            strange = [one for one in typed if not any(_means(one, row) for row in rows)]
            asked[name] = [*(row.label for row in rows), *strange]
        else:
            st.session_state[name] = rows[-1].name
            asked[name] = rows[-1].label
    _remember(form, "The address asks", asked)


def expect(form: str, values: Mapping[str, Any]) -> None:
    """Remember that the widgets of ``form`` were filled with ``values``. Before they are drawn."""
    asked = {name: spelled(name, v) for name, v in values.items() if v is not None}
    _remember(form, "These settings ask", asked)


def show_unmet(form: str, names: Mapping[str, str]) -> None:
    """Say what was asked in vain, until that setting is changed; ``names`` are what settings are
    called on screen, by their widgets. After the widgets are drawn."""
    asked, unmet = f"{ASKED}-{form}", f"{UNMET}-{form}"
    if asked in st.session_state:
        who, wanted = st.session_state.pop(asked)
        st.session_state[unmet] = _unmet(who, wanted, names)
    lines = [
        sentence
        for name, value, sentence in st.session_state.get(unmet, ())
        if name in st.session_state and st.session_state[name] == value
    ]
    if lines:
        st.warning("  \n".join(lines), icon=":material/link_off:")


def _means(typed: str, row: Any) -> bool:
    return typed.casefold() in (row.name.casefold(), row.label.casefold())


def _remember(form: str, who: str, asked: dict[str, Any]) -> None:
    st.session_state[f"{READ}-{form}"] = True
    st.session_state[f"{ASKED}-{form}"] = (who, asked)


def _unmet(
    who: str, asked: Mapping[str, Any], names: Mapping[str, str]
) -> list[tuple[str, Any, str]]:
    """Name, value shown, and a sentence for every setting that shows another value than asked."""
    unmet = []
    for name, setting in names.items():
        wanted, value = asked.get(name, ""), st.session_state.get(name)
        if not wanted or name not in st.session_state or _agree(name, wanted, value):
            continue
        text = ", ".join(wanted) if isinstance(wanted, list) else wanted
        short = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        sentence = (
            f"{who} for {setting[:1].lower()}{setting[1:]} {short}, which cannot be used here; "
            f"{_shown(name, value)} is shown."
        )
        unmet.append((name, value, plain(sentence)))
    return unmet


def _agree(name: str, asked: Any, value: Any) -> bool:
    if isinstance(value, list):
        wanted = asked if isinstance(asked, list) else [asked]
        return {called(name, one) for one in value} == set(wanted)
    if isinstance(value, bool):
        return bool(asked.lower() == str(value).lower())
    if isinstance(value, int | float):
        try:
            return float(asked) == value
        except ValueError:
            return False
    return value is not None and asked in (str(value), called(name, value))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return UNSET.get(name.replace("-", "_"), AUTOMATIC)
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(spelled(name, value)) or "none"
    return f"{spelled(name, value)}" + ("\N{NO-BREAK SPACE}%" if name == "sparsity" else "")
