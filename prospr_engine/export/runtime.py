"""Run a file in ONNX Runtime, and compare its logits with PyTorch's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from prospr_engine.errors import ExportError
from prospr_engine.export.encodings import Tolerance


@dataclass(frozen=True)
class Agreement:
    """The difference between two sets of logits, over all images. ``tiny``: the logits are so close
    to zero that most of the tolerance is absolute, and agreement proves little. ``classes``: all
    must have the same class."""

    max_abs_error: float
    tolerance: float
    tiny: bool
    same_class: int
    images: int
    classes: bool = True

    @property
    def ok(self) -> bool:
        same = self.same_class == self.images or not self.classes
        return self.max_abs_error <= self.tolerance and same


def library() -> Any:
    """The module ``onnxruntime``, which sends telemetry unless it is imported this way."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    return onnxruntime


def session(file: bytes | Path, threads: int = 0) -> Any:
    """A session of ONNX Runtime on the CPU with its usual settings, or so many threads."""
    ort = library()
    options = ort.SessionOptions()
    options.log_severity_level = 4  # errors are raised; stderr adds nothing
    if threads:
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = file if isinstance(file, bytes) else str(file)
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run(
    file: bytes | Path, inputs: Iterable[np.ndarray], output: str | None = None
) -> list[np.ndarray]:
    """The first output, or the one of that name, for each of ``inputs``, on the CPU, with ONNX
    Runtime's usual settings.

    Raises ``ExportError`` if ONNX Runtime refuses the model or one of the inputs.
    """
    with _explained():
        opened = session(file)
        name = opened.get_inputs()[0].name
    found, outputs = [], [output] if output else None
    for values in inputs:
        with _explained():
            found.append(np.asarray(opened.run(outputs, {name: values})[0]))
    return found


def attempt(path: str) -> None:
    """Open the file and run it once on zeros, with the free axes of its input at 1. Made to be
    called in a ``guard.sandbox``. Raises ``ExportError``."""
    with _explained():
        opened = session(Path(path), threads=1)
        fed = opened.get_inputs()[0]
        shape = [axis if isinstance(axis, int) and axis > 0 else 1 for axis in fed.shape]
        free = shape[1:] != list(fed.shape[1:])
        if not free:  # networks seldom take images of one pixel
            opened.run(None, {fed.name: np.zeros(shape, np.float32)})


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn the errors of ONNX Runtime into ``ExportError``."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's errors share no other base
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:300]
        raise ExportError(f"ONNX Runtime cannot run the file ({reason}).") from None


def compare(
    expected: Sequence[np.ndarray], found: Sequence[np.ndarray], allowed: Tolerance
) -> Agreement:
    """Compare ``found`` with ``expected``: matching arrays of (batch, classes).

    Two classes whose expected logits are within twice the tolerance count as a tie, since rounding
    may choose either, if the tolerance asks for equal classes. Raises ``ExportError`` if the shapes
    differ.
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
    ties = 2 * tolerance if allowed.classes else 0.0
    same = int((wanted.max(1) - chosen <= ties).sum())
    tiny = bool(tolerance < 2 * allowed.absolute)
    return Agreement(float(difference), float(tolerance), tiny, same, len(wanted), allowed.classes)
