"""Identify a run's file by its content alone: its name, and what it says about its run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospr_engine.errors import DataError, ExportError
from prospr_engine.io.tensors import read_tensors
from prospr_engine.pipeline.record import RESULT

CONFIG, MODEL, SCORES, MASKS, GALLERY = (
    "config.json",
    "model.onnx",
    "scores.safetensors",
    "masks.safetensors",
    "gallery.safetensors",
)
Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Content:
    """A file that a run calls ``name``. ``facts`` are the values of a JSON file, the label of a
    network, or the metadata of a safetensors file."""

    name: str
    facts: Facts
    path: Path

    @property
    def digest(self) -> str:
        """The SHA-256 of the content, which is the file's name in the store."""
        return self.path.name


def identify(path: Path) -> Content | None:
    """What the file is; None if it is not written by a run, or is damaged."""
    readers: tuple[Callable[[Path], tuple[str, Facts] | None], ...] = (_json, _tensors, _onnx)
    for read in readers:
        found = read(path)
        if found:
            return Content(*found, path)
    return None


def is_result(path: Path) -> bool:
    """Whether it is the ``result.json`` of a run."""
    found = _json(path)
    return found is not None and found[0] == RESULT


def _json(path: Path) -> tuple[str, Facts] | None:
    try:
        with path.open("rb") as file:
            if file.read(1) != b"{":
                return None
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if {"fingerprint", "accuracy", "layers", "onnx", "config"} <= values.keys():
        return RESULT, values
    return (CONFIG, values) if {"model", "data", "scoring", "training"} <= values.keys() else None


def _tensors(path: Path) -> tuple[str, Facts] | None:
    try:
        _, facts = read_tensors(path, framework="np", leave_out="")
    except DataError:
        return None
    if not isinstance(facts, dict):
        return None
    if facts.get("network") in ("dense", "pruned"):
        return f"{facts['network']}.safetensors", facts
    for key, name in (("diagnostics", SCORES), ("counts", GALLERY), ("sparsity", MASKS)):
        if key in facts:
            return name, facts
    return None


def _onnx(path: Path) -> tuple[str, Facts] | None:
    # Imported here: every process that opens a store imports this module.
    from prospr_engine.export.onnx_file import parse, read_bytes
    from prospr_engine.export.provenance import read

    try:
        provenance, _ = read(parse(read_bytes(path), path))
    except ExportError:
        return None
    masks = {layer.name: layer.mask for layer in provenance.layers}
    return MODEL, {**provenance.metadata, "masks": masks}
