"""Verdicts as sentences with an icon for their level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

ICONS = {
    "fine": ":green[:material/check_circle:]",
    "warning": ":orange[:material/warning:]",
    "danger": ":red[:material/dangerous:]",
}
ORDER = ("danger", "warning", "fine")
MOST = 6


def show_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    """The worst first; a long tail is folded away."""
    ranked = sorted(findings, key=lambda finding: ORDER.index(finding["level"]))
    _lines(ranked[:MOST])
    if ranked[MOST:]:
        with st.expander(f"{len(ranked) - MOST} more"):
            _lines(ranked[MOST:])


def show_checks(checks: Sequence[Mapping[str, Any]]) -> None:
    """The proof, check by check."""
    _lines([{"level": "fine" if c["ok"] else "danger", "text": c["text"]} for c in checks])


def show_error(sentence: object) -> None:
    """What is wrong and what to do, in the engine's words."""
    st.error(plain(str(sentence)), icon=":material/error:")


def _lines(findings: Sequence[Mapping[str, Any]]) -> None:
    st.markdown("  \n".join(f"{ICONS[f['level']]} {plain(f['text'])}" for f in findings))


def plain(text: str) -> str:
    """``text`` with nothing in it that Markdown would take for a mark."""
    return "".join("\\" + c if c in r"\`*_[]<>$#~|:" else c for c in text)
