"""Weights in a file of PyTorch (.pt, .pth, .bin, .ckpt), read without trusting it and written as
safetensors, the one format that the rest of the program knows.

The file is opened in a process with limits (``unpickle``), and what that writes is checked like any
file of a stranger. Importing this module imports no torch.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prospr_engine.errors import ModelError
from prospr_engine.guard import limits, sandbox
from prospr_engine.io.file_type import kind_of
from prospr_engine.io.tokens import display_name, locate

KIND = "torch"
"""Of ``io.file_type``."""
UNPICKLE = "prospr_engine.models.imports.unpickle:write_weights"


def is_state_file(path: Path) -> bool:
    """Whether the file is one of PyTorch, judged by its content. False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return kind_of(file) == KIND
    except (OSError, ValueError):
        return False


def convert(path: Path, name: str, to: Path) -> Mapping[str, Any]:
    """Write the tensors of the PyTorch file at ``path``, called ``name`` in messages, to ``to`` as
    safetensors. Returns the label of the new file.

    Raises ``ModelError`` if the file contains more than weights or none, or is damaged or
    malicious, ``ResourceError`` if reading it takes too much memory or time.
    """
    size = path.stat().st_size
    label: Mapping[str, Any] = sandbox.call(
        UNPICKLE,
        {"path": str(path), "name": name, "to": str(to)},
        name,
        limits.STATE_MEMORY.value + 3 * size,
        limits.STATE_SECONDS.value,
        limits.STATE_TIMES.value * size + limits.WEIGHTS_HEADER.value,
    )
    return label


def weights_file(file: str) -> Path:
    """The safetensors file with the weights at a path or token: the file itself, or a copy of a
    PyTorch file that is deleted when this process ends. Raises as ``convert`` does, and
    ``ConfigError`` if an upload is gone."""
    path = locate(file)
    if not is_state_file(path):
        return path
    state = path.stat()
    return _converted(path.absolute(), display_name(file), state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=8)
def _converted(path: Path, name: str, changed: int, size: int) -> Path:
    to = Path(_folder().name, f"{changed:x}-{size:x}-{abs(hash(path)):x}.safetensors")
    try:
        convert(path, name, to)
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror}). Check its path.") from None
    return to


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="prospr-weights-")
