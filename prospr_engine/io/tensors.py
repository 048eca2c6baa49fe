"""Our safetensors container: named tensors in the order they were written, and one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospr_engine.errors import DataError
from prospr_engine.io.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor


def read_tensors(
    path: str | Path, framework: str = "pt", leave_out: str | tuple[str, ...] | None = None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The tensors and the metadata that ``save_tensors`` wrote, in the order they were written.

    ``framework`` "np" gives arrays and needs no torch. Names that begin with ``leave_out``,
    or with one of several, are not read. Raises ``DataError`` if the file is missing or not
    readable.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework=framework) as file:
            header = json.loads((file.metadata() or {}).get("prospr", "{}"))
            if not isinstance(header, dict):
                raise ValueError("its header is not ours")
            names = header.get("names", file.keys())
            tensors = {
                name: file.get_tensor(name)
                for name in names
                if leave_out is None or not name.startswith(leave_out)
            }
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        # A TypeError: a number format that numpy lacks.
        raise DataError(f"{path} is not a readable safetensors file ({error}).") from None
    return tensors, header.get("metadata", {})


def float_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """The shapes of the float32 tensors in a safetensors file, by name; their values are not read.
    Raises ``DataError`` as ``read_tensors`` does."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            parts = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: tuple(part.get_shape())
                for name, part in parts.items()
                if part.get_dtype() == "F32"
            }
    except FileNotFoundError:
        raise DataError(f"There is no file {path}.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable safetensors file ({error}).") from None


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]
) -> None:
    """Write ``tensors`` as safetensors with ``metadata`` as one JSON object in its header."""
    from safetensors.torch import save

    content = _separate(tensors)
    # safetensors sorts by name; the header keeps the order of the network's layers.
    header = {"names": list(content), "metadata": dict(metadata)}
    write_atomically(path, save(content, {"prospr": json.dumps(header)}))


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each in memory of its own: tied weights are stored under each of
    their names."""
    content: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in tensors.items():
        own = tensor.detach().cpu().contiguous()
        place = own.untyped_storage().data_ptr()
        content[name] = own.clone() if place in places else own
        places.add(place)
    return content


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what ``save_tensors`` wrote; raises ``DataError`` as ``read_tensors`` does."""
    return read_tensors(path)
