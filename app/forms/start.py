"""The parts that the New run and Sweep pages share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import streamlit as st

from app.forms.words import SHARE, SHARE_OWN
from app.presets import Preset
from app.services import EngineError, RunConfig, tokens
from app.ui.findings import plain, show_error

Config = TypeVar("Config")

CANNOT_RUN = "These settings cannot run: see above."


def preset_buttons(
    presets: Sequence[Preset[Any]], current: object, fill: Callable[[Any], None], key: str
) -> None:
    """A button per preset, which fills the form; the ``current`` one is marked."""
    for number, preset in enumerate(presets):
        st.button(
            preset.name,
            icon=":material/check:" if preset.config == current else None,
            help=preset.about,
            key=f"{key}-{number}",
            on_click=fill,
            args=(preset.config,),
        )


def draw_form(draw: Callable[[], Config]) -> tuple[Config | None, str | None]:
    """Draw a form; its settings, or why they cannot be used."""
    try:
        return draw(), None
    except EngineError as error:
        return None, str(error)


def share_note(config: RunConfig) -> None:
    """How to share the settings."""
    st.caption(f":material/link: {SHARE} {SHARE_OWN if tokens(config) else ''}")


def start_button(label: str, problem: str | None, start: Callable[[], None]) -> bool:
    """The start button, disabled if there is a ``problem``, which is shown below it. False if
    ``start`` failed."""
    if st.button(
        label,
        type="primary",
        icon=":material/play_arrow:",
        width="stretch",
        disabled=problem is not None,
        key="primary-start",
    ):
        try:
            start()
        except EngineError as error:
            show_error(error)
            return False
    if problem:
        st.caption(plain(problem))
    return True
