"""Sentences stay what they are, whatever is in them."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

from app.ui.findings import plain


@pytest.mark.parametrize("text", ["a *b* `c`", "[x](y)", ":red[z] :smile:", "$1$ <b> #1 ~~ |"])
def test_marks_are_escaped_and_nothing_else(text: str):
    escaped = plain(text)
    assert escaped.replace("\\", "") == text
    assert "\\*b\\*" in escaped or "*" not in text


@pytest.mark.parametrize("text", ["www.x.y: gone", "HTTPS://x.y/z", "me@x.org"])
def test_nothing_becomes_a_link(text: str):
    """Its marks are looked for in the text after the escapes are gone (mdast's autolinks)."""
    shown = plain(text).replace("\\", "")
    assert shown.replace("\N{WORD JOINER}", "") == text
    for mark in ("www.", "https://", "me@"):
        assert mark not in shown.lower()


def test_what_was_measured_is_folded_away():
    def page() -> None:
        from app.services import Check
        from app.ui.findings import show_proof

        checks = {"zeros": "12 *of* 12 are zero.", "odd": "Odd checks pass."}
        show_proof([Check(name, True, text) for name, text in checks.items()])

    at = AppTest.from_function(page, default_timeout=PATIENCE).run()
    (box,) = at.expander
    assert box.label == "Details of the checks"
    assert not box.proto.expanded
    assert [text.value for text in box.caption] == ["12 \\*of\\* 12 are zero."]
    shown = "".join(text.value for text in at.markdown)
    assert "The removed weights are zero." in shown
    assert "Odd checks pass." in shown
    assert "12" not in shown
