"""Findings as sentences with an icon for their level."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from app.services import Check, FindingRecord, PruningRecord
from app.ui.proof import explained
from prospr_engine.report.charts.layers import label

ICONS = {
    "fine": ":green[:material/check_circle:]",
    "warning": ":orange[:material/warning:]",
    "danger": ":red[:material/dangerous:]",
}
ORDER = ("danger", "warning", "fine")
MOST = 6
LINK = re.compile(r"https?(?=\\:)|www(?=\.)|(?<=\w)(?=@)", re.IGNORECASE)
WORD_JOINER = "\N{WORD JOINER}"  # invisible, and prevents a line break


def show_findings(pruning: PruningRecord) -> None:
    """The findings of a ``Pruned`` event or a result, worst first. Those beyond ``MOST`` are
    collapsed, but never whether the ranking can be trusted."""
    trust = pruning.trust
    names = {layer.name: label(layer.name, i) for i, layer in enumerate(pruning.layers, 1)}
    findings = [_with_labels(f, names) for f in pruning.findings if f.text != trust.verdict]
    ranked = sorted(findings, key=lambda finding: ORDER.index(finding.level))
    _lines(ranked[:MOST])
    if ranked[MOST:]:
        with st.expander(f"{len(ranked) - MOST} more"):
            _lines(ranked[MOST:])
    _lines([FindingRecord("fine" if trust.trusted else "warning", trust.verdict)])


def show_proof(checks: Sequence[Check], channels: bool = False) -> None:
    """The proof in plain words, with the measurements collapsed; ``channels``: whether channels
    were removed."""
    lines = explained(checks, channels)
    st.markdown(
        "\n\n".join(f"{ICONS['fine' if ok else 'danger']} {plain(text)}" for ok, text, _ in lines)
    )
    if details := [plain(text) for _, _, text in lines if text]:
        with st.expander("Details of the checks"):
            st.caption("\n\n".join(details))


def show_error(sentence: object) -> None:
    """An error, in the engine's words, and the lines of code that it points at."""
    st.error(plain(str(sentence)), icon=":material/error:")
    if code := getattr(sentence, "code", ""):
        st.code(code)


def _lines(findings: Sequence[FindingRecord]) -> None:
    st.markdown("  \n".join(f"{ICONS[f.level]} {plain(f.text)}" for f in findings))


def plain(text: str) -> str:
    """``text`` with everything escaped that Markdown would interpret."""
    escaped = "".join("\\" + c if c in r"\`*_[]<>$#~|:" else c for c in text)
    # Links are detected after escapes are removed: only another character breaks them.
    return LINK.sub(lambda match: match[0] + WORD_JOINER, escaped)


def _with_labels(finding: FindingRecord, names: Mapping[str, str]) -> FindingRecord:
    """``finding`` with its layer named as in the chart."""
    parameter, text = finding.layer, finding.text
    if parameter is not None and parameter in names:
        name = names[parameter]
        full = name if name.startswith("Layer ") else f"Layer {name}"
        text = text.replace(f"Layer {parameter}", full).replace(parameter, name)
    return replace(finding, text=text)
