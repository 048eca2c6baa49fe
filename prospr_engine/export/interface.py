"""What a file takes and gives, and where a network's tensors are in it.

Files that this engine lays out take images (N, C, H, W), give logits, and have every tensor under
the network's own name. A user's own graph may do all of that in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prospr_engine.export.names import INPUT, OUTPUT

Values = np.ndarray[Any, np.dtype[Any]]

RESHAPE, TRANSPOSE = "reshape", "transpose"
REFERENCE_BATCHES = (1, 5)
"""How many images at a time a file of any batch size is compared with PyTorch on."""


@dataclass(frozen=True)
class Interface:
    """The names of a file's ``input`` and ``output``; ``batch``, how many images it takes at a
    time (None: any number); their layout, ``channels_last`` (N, H, W, C) or ``flat`` (N, C·H·W);
    and its ``answer``: "logits", or their "softmax" or "log_softmax"."""

    input: str = INPUT
    output: str = OUTPUT
    batch: int | None = None
    channels_last: bool = False
    flat: bool = False
    answer: str = "logits"

    @property
    def batches(self) -> tuple[int, ...]:
        """The numbers of images that the file is verified on."""
        return REFERENCE_BATCHES if self.batch is None else (self.batch,)

    def arranged(self, images: Values) -> Values:
        """``images`` (N, C, H, W) in the file's layout."""
        if self.flat:
            return images.reshape(len(images), -1)
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1)) if self.channels_last else images

    def restored(self, inputs: Values, shape: Sequence[int]) -> Values:
        """Images (N, *shape) of ``inputs`` in the file's layout."""
        if self.channels_last:
            inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
        return inputs.reshape(len(inputs), *shape)

    def answered(self, logits: Values) -> Values:
        """What the file answers where a network gives ``logits`` (N, classes)."""
        if self.answer == "logits":
            return logits
        if self.answer == "sigmoid":
            return 1 / (1 + np.exp(-logits))
        shifted = logits - logits.max(1, keepdims=True)
        log = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        return log if self.answer == "log_softmax" else np.exp(log)

    def chunks(self, images: Values) -> list[Values]:
        """``images`` (N, C, H, W) in the file's layout, in batches that it takes; the last image is
        repeated to fill the last one."""
        size = self.batch or len(images)
        places = np.minimum(np.arange(-(-len(images) // size) * size), len(images) - 1)
        return np.split(self.arranged(images[places]), len(places) // size)


@dataclass(frozen=True)
class Place:
    """Where a network's tensor is in a file: in its ``tensor`` of that name, as which it becomes
    the network's by the steps of ``layout``, each "reshape" to a shape or "transpose" to an order
    of axes."""

    tensor: str
    layout: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def view(self, values: Values) -> Values:
        """The ``values`` of the file's tensor as the network's. Raises ``ValueError`` if they have
        another shape."""
        for step, numbers in self.layout:
            values = values.reshape(numbers) if step == RESHAPE else values.transpose(numbers)
        return values

    def back(self, values: Values, shape: Sequence[int]) -> Values:
        """The ``values`` of the network's tensor as the file's, of that ``shape``."""
        flat = np.empty(values.size, values.dtype)
        flat[self.view(np.arange(values.size).reshape(shape)).reshape(-1)] = values.reshape(-1)
        return flat.reshape(shape)


@dataclass(frozen=True)
class Template:
    """A user's own graph: a whole model in ``data``, its ``interface``, and the ``places`` of a
    network's tensors in it by name. ``fill`` writes the tensors of a network into a model of that
    graph, and raises ``ExportError`` if they do not fit."""

    data: bytes
    interface: Interface
    places: Mapping[str, Place]
    fill: Callable[[Any, Mapping[str, Values]], Any] = field(compare=False)
