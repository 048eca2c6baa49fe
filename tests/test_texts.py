"""Texts that a person may read."""

from __future__ import annotations

import ast
import re

import pytest
from paths import ROOT

PLACEHOLDER = re.compile(r"\{[A-Z_]{3,}\}")


@pytest.mark.parametrize("package", ["app", "prospr_engine"])
def test_no_placeholder_is_left_in_a_text(package):
    """A text that lacks its "f" would show "{SPACE}" to everybody."""
    left = []
    for path in (ROOT / package).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        formatted = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
        }
        left += [
            f"{path.name}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in formatted
            and PLACEHOLDER.search(node.value)
        ]
    assert not left
