"""The command ``inspect``: what a data set contains, before anything learns from it."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

from prospr_engine.cli import render_data
from prospr_engine.cli.settings import show


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command(
        "inspect", inspect, "show classes, counts, sizes and problems of a data set before a run"
    )
    sub.add_argument("data", help="a name from `list datasets`, or the path of images")


def inspect(parsed: argparse.Namespace) -> int:
    """Look at the images without training on them."""
    from prospr_engine.data import DATASETS

    found = _of_row(parsed.data) if parsed.data in DATASETS else _of_path(parsed.data)
    show(parsed, found, render_data.print_preview)
    return 0


def _of_row(name: str) -> dict[str, Any]:
    """A row of the table, whose files may not be here yet."""
    from prospr_engine.data.inspect import describe

    facts = describe(name)
    images = {"train": facts.train, "validation": facts.validation, "test": facts.test}
    return {
        "name": facts.name,
        "class_count": facts.class_count,
        "classes": [],
        "images": {part: count for part, count in images.items() if count is not None},
        "channels": facts.channels,
        "image_size": facts.image_size,
        "sizes": None,
        "notes": list(facts.notes),
        "warnings": [],
        "looked_at": 0,
        "broken": [],
    }


def _of_path(path: str) -> dict[str, Any]:
    from prospr_engine.data.preview import preview_data

    found = preview_data(path)
    facts = found.facts
    return {
        "name": facts.name,
        "class_count": facts.class_count,
        "classes": [
            {"name": name, **{part: counts[at] for part, counts in found.counts.items()}}
            for at, name in enumerate(facts.classes)
        ],
        "images": {part: sum(counts) for part, counts in found.counts.items()},
        "channels": facts.channels,
        "image_size": facts.image_size,
        "sizes": None if found.sizes is None else dataclasses.asdict(found.sizes),
        "notes": list(found.notes),
        "warnings": list(found.warnings),
        "looked_at": found.looked_at,
        "broken": list(found.broken),
    }
