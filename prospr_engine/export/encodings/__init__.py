"""How the weights of a file are stored: the one table ``ENCODINGS``.

A new encoding is one file and one row. The table can be looked at without torch and onnx.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prospr_engine.registry import Registry, Spec


@dataclass(frozen=True)
class EncodingSpec(Spec):
    """How the weights are stored. ``target`` turns a dense ONNX model into this encoding,
    ``encode(model, masks)``; ``reader`` gives the weights back, ``decode(model)``."""

    reader: str

    def load_reader(self) -> Callable[..., Any]:
        """Import and return the function that reads the weights of such a file."""
        module, _, function = self.reader.partition(":")
        return getattr(importlib.import_module(module), function)


ENCODINGS: Registry[EncodingSpec] = Registry(
    "encoding",
    (
        EncodingSpec(
            name="dense",
            label="Dense, 32 bit",
            description="Every weight is stored, zeros too. Loads in every runtime; zip it to "
            "make it small.",
            target="prospr_engine.export.encodings.dense:encode",
            reader="prospr_engine.export.encodings.dense:decode",
        ),
    ),
)
