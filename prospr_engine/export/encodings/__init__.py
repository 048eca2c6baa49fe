"""How the weights of a file are stored: the table ``ENCODINGS``.

A new encoding is one file and one row. Reading the table needs neither torch nor onnx.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prospr_engine.registry import Registry, Spec, resolve

PRIMARY = "dense"
"""The encoding in which every tool sees the weights as they are; its file is ``model.onnx``."""


@dataclass(frozen=True)
class Tolerance:
    """The allowed difference between ONNX Runtime's logits and PyTorch's: ``relative`` to the
    largest logit, plus ``absolute``. ``classes``: the largest logit must be the same, too, but for
    ties."""

    relative: float
    absolute: float
    classes: bool = True


@dataclass(frozen=True)
class FileSize:
    """The size of a file in ``bytes``, and alone in a zip (``zipped``)."""

    bytes: int
    zipped: int


@dataclass(frozen=True)
class StoredTensor:
    """What the size of a stored float32 tensor depends on: its number of ``values``, and how many
    of them are not zero (``nonzero``). ``channels`` is the number of output channels, 0 if it is
    not known. ``coded``: how many values are stored when the gaps between nonzero ones are numbers
    of 1, 2, … bits, see ``gaps.coded_counts``; None if they are in random places. ``weight``: a
    layer multiplies by it; others, such as biases, are never rounded to 8 bits. ``normalises``: it
    is one of the four tensors of a batch norm, which an encoding may fold into a weight."""

    values: float
    nonzero: float
    channels: int = 0
    coded: tuple[int, ...] | None = None
    weight: bool = True
    normalises: bool = False


@dataclass(frozen=True)
class EncodingSpec(Spec):
    """How the weights are stored. ``target`` turns a dense ONNX model into this encoding,
    ``encode(model, masks)``; ``reader`` returns the weights, ``decode(model)``; ``sizer``
    predicts the file from the tensors and the ``rest`` of the dense file (graph, names, record),
    ``size(tensors, rest) -> FileSize``, without torch or onnx.

    ``lossless``: the weights are the network's, bit for bit. ``calibrated``: ``encode`` takes
    batches of inputs as well, and chooses by them how to round; what is far from them is rounded
    at will, so such a file is compared with PyTorch on these, and its record has its own answers to
    others. ``full_check``: ONNX's checker can
    infer the shapes in such a file. ``opens_in`` says in a line what reads it."""

    reader: str | Callable[..., Any]
    sizer: str | Callable[..., FileSize]
    tolerance: Tolerance
    lossless: bool = False
    calibrated: bool = False
    full_check: bool = True
    opens_in: str = "Anything that reads ONNX."
    opset: int = 0
    """The first opset with the operators that it needs."""
    ir_version: int = 0
    """The first version of the format that has what it needs."""

    def load_reader(self) -> Callable[..., Any]:
        """Import and return the function that reads the weights of such a file."""
        return resolve(self.reader)

    def load_sizer(self) -> Callable[..., FileSize]:
        """Import and return the function that predicts the size of such a file."""
        return resolve(self.sizer)

    def file(self, stem: str = "model") -> str:
        """The file name: ``model.onnx``, or ``model-<encoding>.onnx``."""
        return f"{stem}.onnx" if self.name == PRIMARY else f"{stem}-{self.name}.onnx"


ENCODINGS: Registry[EncodingSpec] = Registry(
    "encoding",
    (
        EncodingSpec(
            name=PRIMARY,
            label="Dense, 32 bit",
            description="Every weight is stored, zeros too, which take little space once zipped.",
            target="prospr_engine.export.encodings.dense:encode",
            reader="prospr_engine.export.encodings.dense:decode",
            sizer="prospr_engine.export.encodings.dense:size",
            # Two correct float32 implementations differ by the order of their sums: 1e-7 to
            # 1.3e-6 measured over twelve torchvision networks from SqueezeNet to MaxViT, and
            # other CPUs add in other orders. A wrong graph, a lost layer or 16-bit weights are
            # off by 1e-3 or more. The absolute part changes no class probability by more than
            # half of it; a network with most of its weights removed can have logits far smaller
            # than the numbers they are computed from.
            tolerance=Tolerance(relative=1e-4, absolute=1e-6),
            lossless=True,
        ),
        EncodingSpec(
            name="compact",
            label="Compact",
            description="Zeros take next to no space, and the network is the same, bit for bit. "
            "Standard operators unpack it when it is loaded, so it is as fast as the dense file.",
            target="prospr_engine.export.encodings.compact:encode",
            reader="prospr_engine.export.encodings.compact:decode",
            sizer="prospr_engine.export.encodings.compact_size:size",
            # The weights are the same, bit for bit.
            tolerance=Tolerance(relative=1e-4, absolute=1e-6),
            lossless=True,
            opens_in="Runtimes of ONNX opset 18 and later, such as ONNX Runtime and OpenVINO.",
            opset=18,
        ),
        EncodingSpec(
            name="compact-fp16",
            label="Compact, 16 bit",
            description="As compact, with weights rounded to 16 bits: the smallest file. The "
            "network computes in 32 bits.",
            target="prospr_engine.export.encodings.compact:encode_half",
            reader="prospr_engine.export.encodings.compact:decode",
            sizer="prospr_engine.export.encodings.compact_size:size_half",
            # A float16 has eleven bits. Logits are off by up to 7e-4 of the largest, measured on
            # three networks at 50 to 98 %.
            tolerance=Tolerance(relative=5e-3, absolute=1e-4),
            opens_in="Runtimes of ONNX opset 18 and later, such as ONNX Runtime and OpenVINO.",
            opset=18,
        ),
        EncodingSpec(
            name="int8",
            label="8 bit",
            description="Weights and sums are rounded to 8 bits: a quarter of the dense file "
            "unzipped, and faster on processors that compute in 8 bits. It costs some accuracy, "
            "which is measured again.",
            target="prospr_engine.export.encodings.int8:encode",
            reader="prospr_engine.export.encodings.int8:decode",
            sizer="prospr_engine.export.encodings.int8_size:size",
            # Rounded sums add up over the layers: logits are off by up to 4 % of the largest,
            # measured on four networks at 90 %; a lost layer is off by all of it. Whether the
            # rounding changes a class is measured: a run tests the file on all test images.
            tolerance=Tolerance(relative=0.25, absolute=1e-3, classes=False),
            calibrated=True,
            opens_in="ONNX Runtime and OpenVINO.",
            opset=13,
        ),
        EncodingSpec(
            name="native-sparse",
            label="Sparse, as in the standard",
            description="Weights that are not zero, and their places. ONNX Runtime makes them "
            "dense when it loads them, so it is as fast as the dense file.",
            target="prospr_engine.export.encodings.native_sparse:encode",
            reader="prospr_engine.export.encodings.native_sparse:decode",
            sizer="prospr_engine.export.encodings.native_sparse_size:size",
            # The weights are the same, bit for bit.
            tolerance=Tolerance(relative=1e-4, absolute=1e-6),
            lossless=True,
            full_check=False,
            opens_in="ONNX Runtime only; Netron shows it as zeros.",
            ir_version=6,
        ),
    ),
)
