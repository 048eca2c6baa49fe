"""Networks outside the tables, measured in a process of their own: torch and the library that has
them take half a gigabyte, and a large network some of its own, which a web server would keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from prospr_engine.guard import limits as bounds
from prospr_engine.guard import sandbox
from prospr_engine.models.measures import Measure

TARGET = "prospr_engine.models.measured:measured"


@dataclass(frozen=True)
class Measured:
    """The ``measure`` of a network, and the number of weights of each of its layers that can be
    pruned, by the name of the weight."""

    measure: Measure
    sizes: dict[str, int]


def measure_apart(model: str, channels: int, size: int, classes: int) -> Measured:
    """Measure the network for images of ``channels`` × ``size`` × ``size``.

    Raises what ``measures.measure`` does, and ``ResourceError`` if it takes too much memory or
    time. Rows that this process registered are unknown to the other one.
    """
    given = {"model": model, "channels": channels, "size": size, "classes": classes}
    found: dict[str, Any] = sandbox.call(
        TARGET,
        given,
        model,
        memory=bounds.MEASURED_MEMORY.value,
        seconds=bounds.MEASURED_SECONDS.value,
    )
    return Measured(Measure(*found["measure"]), found["sizes"])
