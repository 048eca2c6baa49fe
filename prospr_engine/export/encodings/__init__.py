"""How the weights of a file are stored: the one table ``ENCODINGS``.

A new encoding is one file and one row. The table can be looked at without torch and onnx.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prospr_engine.registry import Registry, Spec, resolve

PRIMARY = "dense"
"""The encoding that every run writes and every runtime reads: its file has the plain name."""


@dataclass(frozen=True)
class Tolerance:
    """Allowed difference between ONNX Runtime's logits and torch's: ``relative`` to the largest
    logit, plus ``absolute``."""

    relative: float
    absolute: float


@dataclass(frozen=True)
class FileSize:
    """Of a file, in ``bytes``, and in a zip with nothing else in it (``zipped``)."""

    bytes: int
    zipped: int


@dataclass(frozen=True)
class EncodingSpec(Spec):
    """How the weights are stored. ``target`` turns a dense ONNX model into this encoding,
    ``encode(model, masks)``; ``reader`` gives the weights back, ``decode(model)``; ``sizer``
    predicts the file, ``size(parameters, weights, layers, density) -> FileSize``, without torch
    and onnx. ``in_runs``: every run writes a file in this encoding."""

    reader: str | Callable[..., Any]
    sizer: str | Callable[..., FileSize]
    tolerance: Tolerance
    in_runs: bool = True

    def load_reader(self) -> Callable[..., Any]:
        """Import and return the function that reads the weights of such a file."""
        return resolve(self.reader)

    def load_sizer(self) -> Callable[..., FileSize]:
        """Import and return the function that predicts the size of such a file."""
        return resolve(self.sizer)

    def file(self, stem: str = "model") -> str:
        """What such a file is called: ``model.onnx``, or ``model-<encoding>.onnx``."""
        return f"{stem}.onnx" if self.name == PRIMARY else f"{stem}-{self.name}.onnx"


ENCODINGS: Registry[EncodingSpec] = Registry(
    "encoding",
    (
        EncodingSpec(
            name=PRIMARY,
            label="Dense, 32 bit",
            description="Every weight is stored, zeros too. Loads in every runtime; zip it to "
            "make it small.",
            target="prospr_engine.export.encodings.dense:encode",
            reader="prospr_engine.export.encodings.dense:decode",
            sizer="prospr_engine.export.encodings.dense:size",
            # Two correct float32 implementations differ by the order of their sums: 1e-7 to
            # 1.3e-6 measured over twelve torchvision networks from SqueezeNet to MaxViT, and
            # other processors add in other orders. A wrong graph, a lost layer or a 16-bit weight
            # is off by 1e-3 and more. The absolute part moves no class probability by more than
            # half of it, and a network with most of its weights removed can have logits far
            # smaller than the numbers they come from.
            tolerance=Tolerance(relative=1e-4, absolute=1e-6),
        ),
    ),
)
