"""The summary of a finished run, as a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.services import Run


@dataclass(frozen=True)
class Summary:
    """What the store knows of a finished run without opening its result: test accuracies of both
    networks, the sparsity achieved, bytes of ``model.onnx``, the number of prunable weights
    (``total``), classes and test images, the share of the commonest class in these, the number
    of the rarest and the balanced accuracy of the pruned network, the digest of the data, and
    threads used.

    A run that is not done has none of these, and a run of another version may lack some: None.
    """

    dense: float | None = None
    pruned: float | None = None
    sparsity: float | None = None
    bytes: int | None = None
    total: int | None = None
    classes: int | None = None
    test_images: int | None = None
    commonest: float | None = None
    balanced: float | None = None
    rarest: int | None = None
    threads: int | None = None
    digest: str = ""


def summary_of(run: Run) -> Summary:
    """The summary of ``run``."""
    values = run.summary if isinstance(run.summary, Mapping) else {}
    return Summary(
        dense=number(values, "accuracy", "dense"),
        pruned=number(values, "accuracy", "pruned"),
        sparsity=number(values, "sparsity", "achieved"),
        bytes=_whole(values, "bytes"),
        total=_whole(values, "total"),
        classes=_whole(values, "classes"),
        test_images=_whole(values, "test_images"),
        commonest=number(values, "commonest_share"),
        balanced=number(values, "balanced", "pruned"),
        rarest=_whole(values, "rarest_images"),
        threads=_whole(values, "threads"),
        digest=str(values.get("digest") or ""),
    )


def number(values: Any, *names: str) -> float | None:
    """The number under these nested names; None if there is none."""
    for name in names:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values if isinstance(values, int | float) else None


def _whole(values: Any, name: str) -> int | None:
    found = number(values, name)
    return None if found is None else int(found)
