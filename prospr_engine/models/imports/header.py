"""The header of a safetensors file, checked before anything else in it is read.

The format: 8 bytes with the length of a JSON object, the object, then the numbers
(https://huggingface.co/docs/safetensors). Files may come from anyone.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prospr_engine.errors import ModelError
from prospr_engine.format import megabytes
from prospr_engine.guard import limits
from prospr_engine.io.file_type import WORDS, kind_of
from prospr_engine.models.imports.refusals import SAVE, check_kind

MAX_HEADER = limits.WEIGHTS_HEADER.value  # bytes
MAX_TENSORS = limits.WEIGHTS_TENSORS.value
MAX_NAME = limits.TENSOR_NAME.value  # characters
MAX_AXES = limits.TENSOR_AXES.value
FAULTS = {
    "not fully covered": "it is truncated, or has data after its last tensor",
    "invalid offset": "its tensors overlap or leave gaps",
    "invalid shape": "the shape of a tensor does not fit its data",
    "unknown variant": "it contains an unsupported number format",
    "overflow": "the shape of a tensor does not fit its data",
}
"""Parts of safetensors' messages, and our wording."""
NETWORKS = frozenset({"numpy", "onnx"})  # file types that may contain weights


@dataclass(frozen=True)
class TensorInfo:
    """The number format (safetensors' name, such as ``F32``) and shape of a tensor, and its first
    byte in the file."""

    dtype: str
    shape: tuple[int, ...]
    place: int = field(default=0, compare=False)

    @property
    def numbers(self) -> int:
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """Tensors by name, and ``label``: the metadata of a file written by this software."""

    tensors: Mapping[str, TensorInfo]
    label: Mapping[str, Any]


def read_header(path: Path, name: str) -> Header:
    """The header of the file at ``path``, called ``name`` in messages.

    Raises ``ModelError`` if it is not a safetensors file, or a damaged one.
    """
    try:
        if not path.is_file():
            raise ModelError(f"There is no file {name}. Check its path.")
        with path.open("rb") as file:
            _check_kind(kind_of(file), name)
            size = os.fstat(file.fileno()).st_size
            file.seek(0)
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER:
                raise _damaged(name, f"its header claims {megabytes(length)}")
            if 8 + length > size:
                raise _damaged(name, "it ends within its header")
            text = file.read(length)
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror}). Check its path.") from None
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition)
    except (ValueError, RecursionError):
        raise _damaged(name, "its header is not JSON with unique names") from None
    metadata = content.pop("__metadata__", {})
    if len(content) > MAX_TENSORS:
        raise _damaged(name, f"it claims {len(content):,} tensors")
    _check_format(path, name)
    for own, row in content.items():  # not checked by safetensors
        if len(own) > MAX_NAME or not own.isprintable():
            raise _damaged(name, "the name of one of its tensors is too long or unprintable")
        if len(row["shape"]) > MAX_AXES:
            raise _damaged(name, f"{own} has {len(row['shape']):,} dimensions")
    tensors = {
        own: TensorInfo(row["dtype"], tuple(row["shape"]), 8 + length + row["data_offsets"][0])
        for own, row in content.items()
    }
    if not tensors:
        raise ModelError(f"{name} contains no tensors. Write the file again.")
    return Header(tensors, _label(metadata))


def _check_kind(kind: str, name: str) -> None:
    check_kind(kind, name)
    if kind == "empty":
        raise ModelError(f"{name} is empty. Write or upload the file again.")
    if kind == "html":
        raise ModelError(
            f"{name} is a web page; weights are safetensors or a PyTorch file. The download may "
            "have failed: open the file in a text editor to see why, then download it again."
        )
    if kind in NETWORKS:
        raise ModelError(
            f"{name} is {WORDS[kind]}; weights are given as safetensors or as a PyTorch file. For "
            f"a PyTorch network, {SAVE} writes one."
        )
    if kind != "safetensors":
        raise ModelError(
            f"{name} is {WORDS[kind]}; weights are given as safetensors or as a PyTorch file, as "
            f"{SAVE} writes it."
        )


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError
    return values


def _check_format(path: Path, name: str) -> None:
    """Check that every tensor has a shape and a place, and that they fill the file exactly."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np"):
            pass
    except SafetensorError as error:
        message = str(error)
        faults = (ours for theirs, ours in FAULTS.items() if theirs in message)
        raise _damaged(name, next(faults, "its header does not follow the format")) from None
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror}). Check its path.") from None


def _label(metadata: Any) -> Mapping[str, Any]:
    """The metadata that ``io.tensors.save_tensors`` writes; empty for other files."""
    try:
        label = json.loads(metadata["prospr"])["metadata"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return label if isinstance(label, dict) else {}


def _damaged(name: str, why: str) -> ModelError:
    return ModelError(f"{name} is damaged: {why}. Write or upload the file again.")
