"""Lists of numbers, typed or picked from common ones."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import streamlit as st

from app.services import ConfigError, EngineError, limits
from app.ui.findings import show_error
from app.ui.format import SPACE, to_percent

BETWEEN = re.compile(r"[\s,;]+")
MOST = limits.LISTED_NUMBERS.value
LONGEST = 20  # characters of an entry that a message repeats


Check = Callable[[float], float]
"""Returns the number to use, or raises ``EngineError``."""


def number_picker(
    label: str,
    key: str,
    usual: Sequence[float],
    default: Sequence[float],
    errors: list[EngineError],
    check: Check,
    help: str,
    box_label: str,
    empty_message: str,
    percent: bool = False,
) -> list[float]:
    """Sorted numbers without duplicates. The text in the box counts; the pills above it add and
    remove the ``usual`` numbers. ``empty_message`` is shown if there is no number. ``percent``:
    they are percentages, see ``parse``."""
    pills = f"{key}-usual"
    text = st.session_state.get(key, st.query_params.get(key, joined(default, percent))) or ""
    numbers, _ = parse(text, check, percent)
    st.session_state[pills] = [number for number in usual if number in numbers]
    st.pills(
        label,
        usual,
        selection_mode="multi",
        format_func=lambda number: f"{number:g}{SPACE}%" if percent else f"{number:g}",
        key=pills,
        on_change=_update_box,
        args=(key, pills, usual, text, check, percent),
        help=help,
    )
    typed = st.text_input(
        box_label,
        value=joined(default, percent),
        key=key,
        placeholder=f"such as {joined(usual[:3])}",
        bind="query-params",
    )
    return _checked(typed, errors, check, empty_message, percent)


def number_box(
    label: str,
    key: str,
    errors: list[EngineError],
    check: Check,
    help: str,
    placeholder: str,
) -> list[float]:
    """Sorted numbers without duplicates; there may be none."""
    typed = st.text_input(label, key=key, placeholder=placeholder, help=help, bind="query-params")
    return _checked(typed, errors, check)


def _checked(
    typed: str | None,
    errors: list[EngineError],
    check: Check,
    empty_message: str = "",
    percent: bool = False,
) -> list[float]:
    found, wrong = parse(typed or "", check, percent)
    if empty_message and not found and not wrong:
        wrong = [empty_message]
    for sentence in wrong:
        show_error(sentence)
        errors.append(ConfigError(sentence))
    return found


def parse(text: str, check: Check, percent: bool = False) -> tuple[list[float], list[str]]:
    """The numbers in ``text``, and a message for each entry that is not valid. Percentages below 1
    are fractions (0.9 is 90), unless there is a percent sign somewhere (0.9 % is 0.9)."""
    found, wrong, parts = set(), [], _parts(text)
    if len(parts) > MOST:
        return [], [f"This list has {len(parts):,} numbers; give at most {MOST:,}."]
    for part in parts:
        try:
            number = _number(part)
            if percent and "%" not in text and 0 < number < 1:
                number = to_percent(number)
            found.add(check(number))
        except EngineError as error:
            wrong.append(str(error))
    return sorted(found), wrong


def joined(numbers: Sequence[float], percent: bool = False) -> str:
    """The text of the box and of the address, with a percent sign where it is needed."""
    sign = " %" if percent and any(0 < number < 1 for number in numbers) else ""
    return ", ".join(f"{number:.12g}" for number in numbers) + sign


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        shown = text if len(text) <= LONGEST else text[:LONGEST] + "…"
        raise ConfigError(f"{shown!r} is not a number. Give numbers separated by commas.")
    return number


def _update_box(
    key: str, pills: str, usual: Sequence[float], text: str, check: Check, percent: bool
) -> None:
    """Update the box after a click on a pill. Other numbers stay, and so do unreadable entries,
    which may be unfinished."""
    numbers, _ = parse(text, check, percent)
    others = {number for number in numbers if number not in usual}
    unreadable = [part for part in _parts(text) if not parse(part, check)[0]]
    chosen = joined(sorted(others | {*st.session_state[pills]}), percent)
    st.session_state[key] = ", ".join(filter(None, [chosen, *unreadable]))


def _parts(text: str) -> list[str]:
    return [part for part in BETWEEN.split(text.replace("%", " ")) if part]
