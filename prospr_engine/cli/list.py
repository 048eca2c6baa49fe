"""The command ``list``: the methods, models, data sets and encodings to choose from."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from prospr_engine.cli import render
from prospr_engine.cli.settings import show
from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.models import MODELS
from prospr_engine.models.collections import COLLECTIONS
from prospr_engine.saliency import METHODS

HIDDEN = {"target", "first_order", "by_chance", "reader", "sizer"}
"""Fields of a row, and below of an option, that only the program needs."""
HIDDEN_OF_OPTION = {"value_type", "label", "optional", "file", "table", "role"}


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command(
        "list", list_table, "list the methods, models, data sets or encodings to choose from"
    )
    sub.add_argument("table", choices=tuple(TABLES))
    sub.add_argument("part", nargs="?", default="", help="list only what has this in its name")


def list_table(parsed: argparse.Namespace) -> int:
    """Show one of the tables."""
    rows = [
        {name: value for name, value in row.items() if name not in HIDDEN}
        for row in TABLES[parsed.table]()
        if parsed.part.lower() in f"{row['name']}\n{row.get('label', '')}".lower()
    ]
    if not rows:
        raise ConfigError(
            f"None of the {parsed.table} has {parsed.part!r} in its name; give less of it, or "
            f"nothing, as in `list {parsed.table}`."
        )
    show(parsed, {parsed.table: rows}, render.print_tables)
    return 0


def _methods() -> list[dict[str, Any]]:
    rows = _rows(METHODS)
    for row in rows:
        row["options"] = [
            {name: value for name, value in option.items() if name not in HIDDEN_OF_OPTION}
            for option in row["options"]
        ]
    return rows


def _models() -> list[dict[str, Any]]:
    theirs = [name for one in COLLECTIONS if one.installed for name in one.names()]
    return _rows(MODELS) + [{"name": name} for name in theirs]


def _rows(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(spec) for spec in table.values()]


TABLES: dict[str, Callable[[], list[dict[str, Any]]]] = {
    "methods": _methods,
    "models": _models,
    "datasets": lambda: _rows(DATASETS),
    "encodings": lambda: _rows(ENCODINGS),
}
