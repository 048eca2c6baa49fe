"""Check that all values of a safetensors file are finite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from prospr_engine.errors import ModelError
from prospr_engine.format import listed
from prospr_engine.models.imports.header import Header, TensorInfo

AT_ONCE = 1 << 20  # numbers; a file may be larger than memory
# numpy has no bfloat16: it is the upper half of a float32.
KINDS = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
SHOWN = 5  # names in a message, including the "and n more"


def check_numbers(path: Path, header: Header, name: str) -> None:
    """Raise ``ModelError`` if a tensor of the file at ``path``, called ``name`` in messages, has a
    value that is not finite as float32. Needs no torch and little memory."""
    try:
        with path.open("rb") as file:
            bad = [own for own, info in header.tensors.items() if not _finite(file, info)]
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror}). Write it again.") from None
    if bad:
        raise ModelError(
            f"{name} contains NaN or infinite values, or values too large for float32, in "
            f"{listed(bad, SHOWN)}. The training diverged; give earlier weights."
        )


def _finite(file: BinaryIO, info: TensorInfo) -> bool:
    return info.dtype not in KINDS or all(np.isfinite(part).all() for part in _parts(file, info))


def _parts(file: BinaryIO, info: TensorInfo) -> Iterator[np.ndarray]:
    """The values of a tensor as float32, a part at a time."""
    kind = np.dtype(KINDS[info.dtype])
    file.seek(info.place)
    for done in range(0, info.numbers, AT_ONCE):
        count = min(AT_ONCE, info.numbers - done)
        values = np.frombuffer(file.read(count * kind.itemsize), kind)
        if info.dtype == "BF16":
            yield (values.astype("<u4") << 16).view("<f4")
        else:
            with np.errstate(over="ignore"):
                yield values.astype("<f4")
