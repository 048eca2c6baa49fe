"""What the documents say about the code is true of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md", "docs/decisions.md")
PACKAGES = ("prospr_engine/", "app/", "tests/", "benchmarks/", "docs/")


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_exists(name):
    text = (ROOT / name).read_text("utf-8")
    named = {path for path in re.findall(r"`([\w./-]+/[\w./-]*)`", text) if "<" not in path}
    named |= {target for target in re.findall(r"\]\(([^)#:]+)\)", text) if "://" not in target}
    missing = []
    for path in named:
        if path.startswith(PACKAGES):
            place = ROOT / path
        elif "/" in path and (ROOT / "prospr_engine" / path.split("/")[0]).is_dir():
            place = ROOT / "prospr_engine" / path
        else:
            place = (ROOT / name).parent / path if path.endswith((".md", ".png")) else None
        if place is not None and not place.exists():
            missing.append(path)
    assert not missing, f"{name} names {', '.join(sorted(missing))}"


def test_there_are_ten_recipes_and_more():
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    recipes = re.findall(r"^\d+\. \*\*", text.partition("## To add X, touch Y")[2], re.MULTILINE)
    assert len(recipes) >= 10
