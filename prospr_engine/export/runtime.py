"""Running a file in ONNX Runtime, and judging its logits against torch's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prospr_engine.errors import ExportError

RELATIVE_TOLERANCE = 1e-4
"""Allowed difference in units of the largest logit. Two correct float32 implementations differ
by the order of their sums: 1e-7 to 1.3e-6 measured over twelve torchvision networks from
SqueezeNet to MaxViT, and other processors add in other orders. A wrong graph, a lost layer or a
16-bit weight is off by 1e-3 and more."""

ABSOLUTE_TOLERANCE = 1e-6
"""Allowed in any case: no class probability moves by more than half of it, and a network with
most of its weights removed can have logits far smaller than the numbers they come from."""


@dataclass(frozen=True)
class Agreement:
    """How far two sets of logits lie apart, over all images."""

    max_abs_error: float
    tolerance: float
    same_class: int
    images: int

    @property
    def ok(self) -> bool:
        return self.max_abs_error <= self.tolerance and self.same_class == self.images


def run(data: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first output for each of ``inputs``, on the CPU, with ONNX Runtime's usual settings.

    Raises ``ExportError`` if ONNX Runtime refuses the model or one of the inputs.
    """
    # ONNX Runtime collects events about the machine unless told not to before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # What matters comes as an exception, not on stderr.
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return [np.asarray(session.run(None, {name: values})[0]) for values in inputs]
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no other base
        reason = str(error).splitlines()[0][:300]
        raise ExportError(f"ONNX Runtime cannot run the file ({reason}).") from None


def compare(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> Agreement:
    """Judge ``found`` by ``expected``: matching arrays of (batch, classes).

    Two classes whose expected logits lie within twice the tolerance count as a tie: rounding
    may choose either. Raises ``ExportError`` if the shapes differ.
    """
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            raise ExportError(f"The file answers with shape {b.shape} where torch gave {a.shape}.")
    wanted = np.concatenate(expected).astype(np.float64)
    got = np.concatenate(found).astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN and infinity fail below, and need no warning
        difference = np.abs(wanted - got).max()
    scale = np.abs(wanted).max()
    tolerance = RELATIVE_TOLERANCE * scale + ABSOLUTE_TOLERANCE
    chosen = np.take_along_axis(wanted, got.argmax(1)[:, None], axis=1)[:, 0]
    same = int((wanted.max(1) - chosen <= 2 * tolerance).sum())
    return Agreement(float(difference), float(tolerance), same, len(wanted))
