"""A widget for one setting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app.forms.url_state import choice_label, key, widget_value
from app.services import ConfigError, EngineError, Option, choices_of
from app.ui.code import PREFIXES
from app.ui.findings import show_error
from app.ui.labels import AUTOMATIC, EXPLAINED, UNSET, label

DEVICES = ("auto", "cpu", "cuda")


def field(option: Option, errors: list[EngineError], group: str = "", empty: str = "") -> Any:
    """Draw the widget of a setting and return its value. If that is invalid, the engine's message
    is shown below it and added to ``errors``. ``empty`` is the placeholder of a number that has no
    default."""
    name = key(option.name, group)
    words: dict[str, Any] = {"key": name, "help": _help(option, group), "bind": "query-params"}
    text = option.label or label(option.name, group if group in PREFIXES else "option")
    value: Any
    if option.name == "device":
        # Only torch knows the real devices; a run may name another one, such as cuda:1.
        devices = [*DEVICES, *({st.session_state.get(name, "auto")} - {*DEVICES})]
        value = st.selectbox(
            text, devices, format_func=lambda d: choice_label("device", d), **words
        )
    elif option.kind is tuple:
        value = st.multiselect(
            text,
            list(choices_of(option)),
            default=list(option.default),
            format_func=lambda c: choice_label(name, c),
            **words,
        )
    elif choices := list(choices_of(option)):
        choices = [AUTOMATIC, *choices] if option.optional else choices
        index = choices.index(widget_value(option, option.default))
        value = st.selectbox(
            text, choices, index=index, format_func=lambda c: choice_label(name, c), **words
        )
        value = None if value == AUTOMATIC and option.optional else value
    elif option.kind is bool:
        value = st.toggle(text, value=option.default, **words)
    elif option.kind in (int, float):
        try:
            value = _number(text, option, words, empty)
        except OverflowError:
            # Streamlit would convert 1e999 from an address to an integer.
            value = math.inf
    else:
        value = st.text_input(text, value=option.default, **words)
    try:
        return option.check(value)
    except EngineError as error:
        # With the label above the field in place of the setting's name.
        problem = ConfigError(text + str(error).removeprefix(option.name))
        if isinstance(value, float) and not math.isfinite(value):
            problem = ConfigError(f"{text}: the number is too large. Give a smaller one.")
        show_error(problem)
        errors.append(problem)
        return option.default


def _number(text: str, option: Option, words: Mapping[str, Any], empty: str) -> float | None:
    whole = option.kind is int
    step: Any = 1 if whole else _step(option.default)
    # No bounds: the browser would silently drop a value outside them and keep the earlier one.
    value: Any = st.number_input(
        text,
        value=option.default,
        step=step,
        format="%d" if whole else "%g",
        placeholder=empty or UNSET.get(option.name, AUTOMATIC) if option.default is None else None,
        **words,
    )
    return option.default if value is None else value


def _step(default: float | None) -> float:
    """One unit of the leading digit: 0.0001 for 0.0005."""
    return 10.0 ** math.floor(math.log10(default)) if default else 0.01


def _help(option: Option, group: str) -> str:
    text = EXPLAINED.get(option.name if not group else "") or option.help
    return text[:1].upper() + text[1:].removesuffix(".") + "."
