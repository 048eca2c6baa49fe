"""Read the weights in a file of PyTorch. Made to be called in a ``guard.sandbox``.

``torch.load(weights_only=True)`` runs no code from the file, but may be made to fill memory: so the
archive is checked first, every tensor afterwards, and the process that does it has limits.
"""

from __future__ import annotations

import argparse
import json
import math
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.format import counted, megabytes
from prospr_engine.guard import limits
from prospr_engine.models.imports.refusals import PICKLED, refused
from prospr_engine.network.device import is_out_of_memory

FORMATS = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Number formats, by safetensors' names."""
USUAL = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module"),
    *("weights", "params", "ema_state_dict", "state_dict_ema", "model_ema", "ema"),
)
"""Where training programs keep the weights in a checkpoint, in the order of preference."""
NOT_WEIGHTS = re.compile(r"optim|sched|scaler|loss|metric|callback|hyper|arg|config|rng", re.I)
DEEPEST = 4
INERT = [argparse.Namespace, np.dtype]
"""Types without code of their own that training programs store beside the weights."""


def write_weights(path: str, name: str, to: str) -> dict[str, Any]:
    """Write the tensors of the file at ``path`` to ``to``; see ``state_dict.convert``."""
    file = Path(path)
    if _is_zip(file, name):
        _check_archive(file, name)
    content = _load(file, name)
    where, tensors = _find(content)
    if not tensors:
        raise ModelError(
            f"{name} contains no weights: {_described(content)}. Save them by name, with "
            "torch.save(model.state_dict(), 'weights.pt')."
        )
    _check_tensors(tensors, file.stat().st_size, name)
    label = {"taken_from": ".".join(where)} if where else {}
    _write(Path(to), tensors, label)
    return label


def _is_zip(file: Path, name: str) -> bool:
    try:
        return zipfile.is_zipfile(file)
    except zipfile.BadZipFile as error:  # one part of an archive on several disks
        raise _damaged(name, str(error)) from None


def _check_archive(file: Path, name: str) -> None:
    """Raise ``ModelError`` if the archive would unpack to more than it should."""
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _damaged(name, str(error)) from None
    unpacked = sum(entry.file_size for entry in entries)
    if len(entries) > limits.WEIGHTS_TENSORS.value + 100:
        raise _damaged(name, f"it has {len(entries):,} parts")
    if unpacked > file.stat().st_size + 1_000_000:  # torch.save packs nothing
        raise ModelError(
            f"{name} would unpack to {megabytes(unpacked)}, more than its own "
            f"{megabytes(file.stat().st_size)}. PyTorch writes no such files: save the weights "
            "again with torch.save."
        )
    pickled = [e.file_size for e in entries if e.filename.endswith(".pkl")]
    if max(pickled, default=0) > limits.STATE_PICKLE.value:
        raise _damaged(name, f"its list of tensors has {megabytes(max(pickled))}")


def _load(file: Path, name: str) -> Any:
    allowed: list[Any] = [*INERT, *_numpy_scalars()]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _not_weights(file, name, error) from None
    except MemoryError:
        raise
    except Exception as error:  # whatever its readers may raise
        if is_out_of_memory(error) or "not enough memory" in str(error):
            raise
        raise _damaged(name, next(iter(str(error).splitlines()), type(error).__name__)) from None


def _numpy_scalars() -> list[Any]:
    """What numpy's numbers are made of, under the names of its versions."""
    from numpy._core.multiarray import scalar

    kinds = {type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.int32, bool)}
    return [scalar, (scalar, "numpy.core.multiarray.scalar"), *kinds]


def _not_weights(file: Path, name: str, error: Exception) -> ModelError:
    """The error for a file whose pickle names more than tensors."""
    found = re.search(r"GLOBAL (\S+) was not an allowed global", str(error))
    wanted = found[1] if found else _first_global(file)
    if not wanted:
        return _damaged(name, "its list of tensors cannot be read")
    module, _, kind = wanted.rpartition(".")
    what = f"{name} contains not only weights, but an object of a program ({kind} of {module})"
    return refused(PICKLED, what, name)


def _first_global(file: Path) -> str:
    """The first object of a program that the pickle names, read without running it."""
    try:
        data = file.read_bytes()[: limits.STATE_PICKLE.value]
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                own = next(n for n in archive.namelist() if n.endswith("data.pkl"))
                data = archive.read(own)
        for code, argument, _ in pickletools.genops(data):
            if code.name == "GLOBAL" and not str(argument).startswith(("torch", "collections")):
                return str(argument).replace(" ", ".")
    except Exception:  # noqa: BLE001 - it is damaged
        return ""
    return ""


def _find(
    content: Any, seen: set[int] | None = None, depth: int = 0
) -> tuple[tuple[str, ...], dict[str, Tensor]]:
    """The weights in a checkpoint, and the names of the entries that lead to them. Each entry is
    looked at once, however often it occurs."""
    seen = set() if seen is None else seen
    if not isinstance(content, Mapping) or depth > DEEPEST or id(content) in seen:
        return (), {}
    seen.add(id(content))
    inside = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Mapping)}
    others = sorted(k for k in inside if k not in USUAL and not NOT_WEIGHTS.search(k))
    for key in (*(key for key in USUAL if key in inside), *others):
        where, tensors = _find(inside[key], seen, depth + 1)
        if tensors:
            return (key, *where), tensors
    return (), {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, Tensor)}


def _check_tensors(tensors: Mapping[str, Tensor], size: int, name: str) -> None:
    if len(tensors) > limits.WEIGHTS_TENSORS.value:
        raise _damaged(name, f"it claims {len(tensors):,} tensors")
    total = 0
    for own, tensor in tensors.items():
        if not own or len(own) > limits.TENSOR_NAME.value or not own.isprintable():
            raise _damaged(name, "the name of one of its tensors is too long or unprintable")
        if tensor.ndim > limits.TENSOR_AXES.value:
            raise _damaged(name, f"{own} has {counted(tensor.ndim, 'dimension')}")
        if tensor.layout != torch.strided or tensor.is_meta or tensor.dtype not in FORMATS:
            kind = str(tensor.layout if tensor.layout != torch.strided else tensor.dtype)
            raise ModelError(
                f"{name} stores {own} as {'no values' if tensor.is_meta else kind}. Give the "
                "weights as dense tensors of real numbers: model.float().state_dict()."
            )
        held = tensor.untyped_storage().nbytes()
        needed = math.prod(tensor.shape) * tensor.element_size()
        if needed > held:
            raise _damaged(name, f"{own} claims {megabytes(needed)}, of which {held:,} bytes exist")
        total += needed
    if total > limits.STATE_TIMES.value * size:
        raise _damaged(name, f"its tensors claim {megabytes(total)}")


def _write(to: Path, tensors: Mapping[str, Tensor], label: Mapping[str, Any]) -> None:
    """safetensors, one tensor after another, so that they are never all in memory twice."""
    place = 0
    header: dict[str, Any] = {"__metadata__": {"prospr": json.dumps({"metadata": label})}}
    for own, tensor in tensors.items():
        size = math.prod(tensor.shape) * tensor.element_size()
        header[own] = {
            "dtype": FORMATS[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [place, place + size],
        }
        place += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with to.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for values in _values(tensors):
            file.write(values)


def _values(tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    for tensor in tensors.values():
        flat = tensor.detach().contiguous().reshape(-1)
        if flat.numel():
            yield flat.view(torch.uint8).numpy().data


def _described(content: Any) -> str:
    if isinstance(content, Tensor):
        return "it is a single tensor"
    if isinstance(content, Mapping):
        return f"it has {counted(len(content), 'entry', 'entries')}, but no tensors by name"
    return f"it is of type {type(content).__name__}"


def _damaged(name: str, why: str) -> ModelError:
    return ModelError(f"{name} is damaged: {why.rstrip('.')}. Write or upload the file again.")
