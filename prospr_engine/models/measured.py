"""What the process that measures a network computes; see ``apart``. Importing it imports torch."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

from prospr_engine.models.measures import measure
from prospr_engine.models.outline import outline, shape_for
from prospr_engine.network.prunable import prunable_weights, sizes_of


def measured(model: str, channels: int, size: int, classes: int) -> dict[str, Any]:
    """The fields of ``apart.Measured``, ready for JSON."""
    found = measure(model, channels, size, classes)
    shape = shape_for(model, (channels, size, size))
    sizes = sizes_of(prunable_weights(outline(model, shape, classes)))
    return {"measure": astuple(found), "sizes": sizes}
