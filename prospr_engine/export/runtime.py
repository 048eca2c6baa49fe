"""Run a file in ONNX Runtime, and compare its logits with PyTorch's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings import Tolerance


@dataclass(frozen=True)
class Agreement:
    """The difference between two sets of logits, over all images. ``tiny``: the logits are so close
    to zero that most of the tolerance is absolute, and agreement proves little."""

    max_abs_error: float
    tolerance: float
    tiny: bool
    same_class: int
    images: int

    @property
    def ok(self) -> bool:
        return self.max_abs_error <= self.tolerance and self.same_class == self.images


def run(data: bytes, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The first output for each of ``inputs``, on the CPU, with ONNX Runtime's usual settings.

    Raises ``ExportError`` if ONNX Runtime refuses the model or one of the inputs.
    """
    # ONNX Runtime sends telemetry unless this is set before it is imported.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised; stderr adds nothing
    try:
        session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return [np.asarray(session.run(None, {name: values})[0]) for values in inputs]
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no other base
        reason = str(error).splitlines()[0][:300]
        raise ExportError(f"ONNX Runtime cannot run the file ({reason}).") from None


def compare(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray], allowed: Tolerance
) -> Agreement:
    """Compare ``found`` with ``expected``: matching arrays of (batch, classes).

    Two classes whose expected logits are within twice the tolerance count as a tie, since rounding
    may choose either. Raises ``ExportError`` if the shapes differ.
    """
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape:
            raise ExportError(f"The file returns logits of shape {b.shape}, PyTorch {a.shape}.")
    wanted = np.concatenate(expected).astype(np.float64)
    got = np.concatenate(found).astype(np.float64)
    with np.errstate(invalid="ignore"):  # NaN and infinity fail below, and need no warning
        difference = np.abs(wanted - got).max()
    scale = np.abs(wanted).max()
    tolerance = allowed.relative * scale + allowed.absolute
    chosen = np.take_along_axis(wanted, got.argmax(1)[:, None], axis=1)[:, 0]
    same = int((wanted.max(1) - chosen <= 2 * tolerance).sum())
    tiny = bool(tolerance < 2 * allowed.absolute)
    return Agreement(float(difference), float(tolerance), tiny, same, len(wanted))
