"""Sentences stay what they are, whatever is in them."""

from __future__ import annotations

import pytest

from app.components.findings import plain


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
