"""What an address or a run asked of the form, and what the form could not do of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import services
from app.components.findings import plain
from app.forms.held import FOLDER, IMAGES, WEIGHTS_FILE, called, held, key, options_of, spelled
from app.services import GROUPS, RunConfig
from app.text.code import PREFIXES
from app.text.labels import AUTOMATIC, UNSET, label

ASKED, READ, UNMET = "asked", "address-read", "unmet"
LONGEST = 40  # characters of a value that are repeated
TABLES: dict[str, Mapping[str, Any]] = {
    "data": services.DATASETS,
    "method": services.METHODS,
    "control": services.CONTROLS,
}
OWN = (IMAGES, WEIGHTS_FILE, FOLDER)  # what is wrong with these stands beneath them


def read_address() -> None:
    """Remember what the address asks, once: later it follows the form. Before the widgets are
    drawn. Names of the engine's tables (``cifar10``) are understood in the place of labels."""
    if READ in st.session_state:
        return
    asked = st.query_params.to_dict()
    for name, table in TABLES.items():
        typed = asked.get(name, "").casefold()
        for row in table.values():
            if typed in (row.name.casefold(), row.label.casefold()):
                # Streamlit looks for a label, finds none, and leaves this in place.
                st.session_state[name] = row.name
                asked[name] = row.label
    _remember("The address asks", asked)


def expect(config: RunConfig) -> None:
    """Remember that the form was filled with ``config``. Before its widgets are drawn."""
    asked = {name: spelled(name, v) for name, v in held(config).items() if v is not None}
    _remember("These settings ask", asked)


def show_unmet() -> None:
    """Say what was asked in vain, until that setting is changed. After the widgets are drawn."""
    if ASKED in st.session_state:
        st.session_state[UNMET] = _unmet(*st.session_state.pop(ASKED))
    lines = [
        sentence
        for name, value, sentence in st.session_state.get(UNMET, ())
        if name in st.session_state and st.session_state[name] == value
    ]
    if lines:
        st.warning("  \n".join(lines), icon=":material/link_off:")


def _remember(who: str, asked: dict[str, str]) -> None:
    st.session_state[READ] = True
    st.session_state[ASKED] = (who, asked)


def _unmet(who: str, asked: dict[str, str]) -> list[tuple[str, Any, str]]:
    """Name, value shown, and a sentence for every setting that shows another value than asked."""
    unmet = []
    for name, setting in _settings(st.session_state.get("method", "")).items():
        text, value = asked.get(name, ""), st.session_state.get(name)
        if not text or name not in st.session_state or _agree(name, text, value):
            continue
        short = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        sentence = (
            f"{who} for {setting[:1].lower()}{setting[1:]} {short}, which cannot be used here; "
            f"{_shown(name, value)} is shown."
        )
        unmet.append((name, value, plain(sentence)))
    return unmet


def _settings(method: str) -> dict[str, str]:
    """What the settings are called on screen, by the names of their widgets."""
    groups = {"": RunConfig, **GROUPS}
    options = [(group, o) for group, cls in groups.items() for o in services.settings_of(cls)]
    options += [(method, option) for option in options_of(method)]
    return {
        key(o.name, group): o.label or label(o.name, group if group in PREFIXES else "option")
        for group, o in options
    }


def _agree(name: str, asked: str, value: Any) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(asked) == value
        except ValueError:
            return False
    if isinstance(value, bool):
        return asked.lower() == str(value).lower()
    return value is not None and asked in (str(value), called(name, value))


def _shown(name: str, value: Any) -> str:
    if value is None:
        return UNSET.get(name.replace("-", "_"), AUTOMATIC)
    if isinstance(value, bool):
        return "on" if value else "off"
    return spelled(name, value) + ("\N{NO-BREAK SPACE}%" if name == "sparsity" else "")
