"""Several numbers in one box, typed or picked from those that are usual."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import streamlit as st

from app.services import ConfigError, EngineError
from app.ui.findings import show_error

BETWEEN = re.compile(r"[\s,;]+")
MOST = 1000  # numbers in one list; an address may hold more than anybody typed
LONGEST = 20  # characters of an entry that are repeated


Check = Callable[[float], float]
"""Returns a number as it counts, or raises ``EngineError``."""


def picked(
    label: str,
    key: str,
    usual: Sequence[float],
    default: Sequence[float],
    faults: list[EngineError],
    check: Check,
    help: str,
    own: str,
    none: str,
    unit: str = "",
) -> list[float]:
    """Numbers in rising order, each once. What stands in the box counts; the pills above it put
    the usual ones in and take them out. ``own`` stands above the box, ``none`` is the sentence if
    there is no number at all."""
    pills = f"{key}-usual"
    text = st.session_state.get(key, st.query_params.get(key, spelled(default))) or ""
    here, _ = read(text, check)
    st.session_state[pills] = [number for number in usual if number in here]
    st.pills(
        label,
        usual,
        selection_mode="multi",
        format_func=lambda number: f"{number:g}{unit}",
        key=pills,
        on_change=_take,
        args=(key, pills, usual, text, check),
        help=help,
    )
    typed = st.text_input(
        own,
        value=spelled(default),
        key=key,
        placeholder=f"such as {spelled(usual[:3])}",
        bind="query-params",
    )
    return _judged(typed, faults, check, none)


def listed(
    label: str,
    key: str,
    faults: list[EngineError],
    check: Check,
    help: str,
    placeholder: str,
) -> list[float]:
    """Numbers in rising order, each once; there may be none."""
    typed = st.text_input(label, key=key, placeholder=placeholder, help=help, bind="query-params")
    return _judged(typed, faults, check)


def _judged(
    typed: str | None, faults: list[EngineError], check: Check, none: str = ""
) -> list[float]:
    found, wrong = read(typed or "", check)
    if none and not found and not wrong:
        wrong = [none]
    for sentence in wrong:
        show_error(sentence)
        faults.append(ConfigError(sentence))
    return found


def read(text: str, check: Check) -> tuple[list[float], list[str]]:
    """The numbers in ``text``, and what is wrong with the others."""
    found, wrong, parts = set(), [], _parts(text)
    if len(parts) > MOST:
        return [], [f"This list holds {len(parts):,} numbers; give at most {MOST:,}."]
    for part in parts:
        try:
            found.add(check(_number(part)))
        except EngineError as error:
            wrong.append(str(error))
    return sorted(found), wrong


def spelled(numbers: Sequence[float]) -> str:
    """As they stand in the box and in the address."""
    return ", ".join(f"{number:.12g}" for number in numbers)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        shown = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        raise ConfigError(f"{shown!r} is not a number. Give numbers with commas between them.")
    return number


def _take(key: str, pills: str, usual: Sequence[float], text: str, check: Check) -> None:
    """The pills were clicked: the box follows, and keeps what was typed besides. What cannot be
    read stays, too: whoever typed it has not finished."""
    here, _ = read(text, check)
    others = {number for number in here if number not in usual}
    strange = [part for part in _parts(text) if not read(part, check)[0]]
    chosen = spelled(sorted(others | {*st.session_state[pills]}))
    st.session_state[key] = ", ".join(filter(None, [chosen, *strange]))


def _parts(text: str) -> list[str]:
    return [part for part in BETWEEN.split(text.replace("%", " ")) if part]
