"""What comes of importing an ONNX file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prospr_engine.models.imports.onnx.homes import Home
from prospr_engine.models.imports.onnx.network import ImportedNetwork


@dataclass(frozen=True, eq=False)
class Imported:
    """A network from an ONNX file.

    ``network``, on the CPU in float32 and in train mode, takes images (N, C, H, W) of any number N
    and gives logits (N, ``classes``). Every weight of real numbers is a parameter, the statistics
    of batch norms are buffers.

    ``shape`` is C, H and W as the file declares them, None where it leaves one free; ``batch`` the
    batch size that it fixes, or None. ``channels_last`` says that the file itself takes images as
    (N, H, W, C). ``output`` is what the file gives: "logits", or "softmax", "log_softmax" or
    "sigmoid" of them, which then is left out of ``network``. ``notes`` are sentences for the user.

    ``homes`` says where the values lie in the file, by their names in the state_dict; what no file
    has, the number of batches that a batch norm has seen, is missing. ``skeleton`` is the graph
    without weights, from which ``load.rebuild`` makes the network again.
    """

    network: ImportedNetwork
    shape: tuple[int | None, int | None, int | None]
    batch: int | None
    channels_last: bool
    classes: int
    output: str
    notes: tuple[str, ...]
    homes: Mapping[str, Home]
    skeleton: bytes
