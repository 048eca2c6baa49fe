"""By which tensors a network can be recognised, for every network that can be chosen.

    python -m prospr_engine.models.signatures

builds each one without weights and writes ``collections.json`` beside this file (half an hour).
Looking something up imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from typing import Any

COUNTER = "num_batches_tracked"
"""Of batch norm; missing in files from before torch 0.4.1."""
OWN = "zoo"
"""Our own networks in the index, whose version does not matter."""

CLASSES, CHANNELS, FREE, FIXED = "nc?."
"""A letter per axis of a tensor: it is the number of classes, that of the image's channels, another
number that depends on the images, or always the same."""

Shapes = Mapping[str, tuple[int, ...]]
SIZE = 32
"""The side of images for our own networks."""


def digest(lines: Iterable[str]) -> str:
    """12 hex digits of the SHA-256 of ``lines`` in order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:12]


def digest_of_names(names: Iterable[str]) -> str:
    """Equal for networks whose tensors have the same names."""
    return digest(name for name in names if not name.endswith(COUNTER))


def digest_of_shapes(shapes: Shapes, axes: Mapping[str, str]) -> str:
    """Equal for the same network, whatever the axes that are not ``FIXED`` measure."""
    return digest(
        f"{name} {_masked(shape, axes.get(name, ''))}"
        for name, shape in shapes.items()
        if not name.endswith(COUNTER)
    )


def _masked(shape: tuple[int, ...], letters: str) -> str:
    return ",".join(
        str(size) if letter == FIXED else letter
        for size, letter in zip(shape, letters.ljust(len(shape), FIXED), strict=False)
    )


def signature(name: str) -> list[Any] | None:
    """The row of a network: the digests of its names and shapes, and the ``axes`` that are not
    ``FIXED`` by tensor. None if it cannot be built for images of its published size."""
    from prospr_engine.errors import EngineError

    size = _own_size(name)
    try:
        base = _shapes(name, (3, size, size), 7)
    except EngineError:
        return None
    axes = {own: [FIXED] * len(shape) for own, shape in base.items()}
    # Where a size differs because of the images, it may still be the number of channels.
    for letter, at, shape, classes in (
        (FREE, (0, 0), (3, 2 * size, 2 * size), 7),
        (CHANNELS, (3, 5), (5, size, size), 7),
        (CLASSES, (7, 11), (3, size, size), 11),
    ):
        try:
            other = _shapes(name, shape, classes)
        except EngineError:
            continue
        if other.keys() != base.keys():
            continue
        for own, letters in axes.items():
            for axis, pair in enumerate(zip(base[own], other[own], strict=True)):
                if pair[0] != pair[1]:
                    letters[axis] = letter if pair == at else FREE
    known = {own: "".join(letters) for own, letters in axes.items() if {*letters} != {FIXED}}
    known = {own: letters for own, letters in known.items() if letters}
    return [digest_of_names(base), digest_of_shapes(base, known), known]


def _own_size(name: str) -> int:
    """The side of images that the network is usually built for."""
    from prospr_engine.models.collections import collection_of

    collection = collection_of(name)
    if collection is None:
        return SIZE
    side: int = collection.adapter().usual_size(name.removeprefix(collection.prefix))
    return side


def _shapes(name: str, shape: tuple[int, int, int], classes: int) -> dict[str, tuple[int, ...]]:
    from prospr_engine.models.outline import outline

    return {
        own: tuple(tensor.shape)
        for own, tensor in outline(name, shape, classes).state_dict().items()
        if not own.endswith(COUNTER)
    }


def main() -> None:
    """Write the index."""
    from prospr_engine.models import MODELS
    from prospr_engine.models.collections import COLLECTIONS, INDEX

    found: dict[str, Any] = {OWN: {"version": "", "networks": {n: signature(n) for n in MODELS}}}
    for collection in COLLECTIONS:
        networks = {}
        for name in collection.adapter().names():
            networks[name] = signature(collection.prefix + name)
            print(collection.prefix + name, networks[name], file=sys.stderr, flush=True)
        found[collection.name] = {
            "version": metadata.version(collection.name),
            "networks": networks,
        }
    rows = []
    for library, part in found.items():
        lines = [f"    {json.dumps(n)}: {json.dumps(row)}" for n, row in part["networks"].items()]
        rows.append(
            f'  "{library}": {{"version": {json.dumps(part["version"])}, "networks": {{\n'
            + ",\n".join(lines)
            + "\n  }}"
        )
    INDEX.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main()
