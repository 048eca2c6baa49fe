"""The size of every network of the built-in zoo for the known data sets: a table, so that pages
need no torch.

    python -m prospr_engine.models.measures

measures them again and writes ``measures.json`` beside this file. ``measure`` measures anything
else, and imports torch.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

from prospr_engine.errors import ModelError
from prospr_engine.models import MODELS

TABLE = Path(__file__).with_name("measures.json")

SHAPES = ((1, 8, 10), (1, 28, 10), (3, 32, 10), (3, 32, 100))
"""Channels, side in pixels and classes of the data sets in the catalogue."""


@dataclass(frozen=True)
class Measure:
    """A network for images of one shape: its prunable ``layers``, all its ``parameters``, those
    that can be pruned (``weights``), and the multiply-adds for one image: with these (``macs``),
    and without them (``other``: packed attention)."""

    layers: int
    parameters: int
    weights: int
    macs: int
    other: int = 0


def known(model: str, channels: int, size: int, classes: int) -> Measure | None:
    """The table's row for images of ``channels`` × ``size`` × ``size``, or None."""
    row = _table().get(model, {}).get(_key(channels, size, classes))
    return Measure(*row) if row else None


def measure(model: str, channels: int, size: int, classes: int) -> Measure:
    """Build the network without weights and count.

    Raises ``ConfigError`` for an unknown name, ``ModelError`` if it does not fit the images.
    """
    from prospr_engine.models.outline import outline, shape_for
    from prospr_engine.models.validate import check
    from prospr_engine.network.flops import costs, totals

    shape = shape_for(model, (channels, size, size))
    network = outline(model, shape, classes)
    try:
        found = costs(network, shape)
    except ModelError as error:
        problems = check(network, shape, classes)
        raise ModelError(problems[0].text if problems else str(error)) from None
    total = totals(found.layers)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Measure(total.layers, parameters, total.parameters, total.macs, found.other)


@functools.cache
def _table() -> dict[str, dict[str, list[int]]]:
    table: dict[str, dict[str, list[int]]] = json.loads(TABLE.read_text("utf-8"))
    return table


def _key(channels: int, size: int, classes: int) -> str:
    return f"{channels}x{size}x{size}, {classes} classes"


def main() -> None:
    """Write the table."""
    from dataclasses import astuple

    models = []
    for model in MODELS:
        rows = [f'    "{_key(*s)}": {list(astuple(measure(model, *s)))}' for s in SHAPES]
        models.append(f'  "{model}": {{\n' + ",\n".join(rows) + "\n  }")
    TABLE.write_text("{\n" + ",\n".join(models) + "\n}\n", "utf-8")
    print(f"{len(models)} networks written to {TABLE}")


if __name__ == "__main__":
    main()
