"""Which network a file of weights belongs to, by the names and shapes of its tensors alone.

Every network of the zoo, torchvision and timm is looked up in an index; nothing is built, and
nothing imported.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prospr_engine.format import counted, listed
from prospr_engine.models.collections import index
from prospr_engine.models.imports.header import TensorInfo
from prospr_engine.models.signatures import (
    CHANNELS,
    CLASSES,
    OWN,
    digest_of_names,
    digest_of_shapes,
)

PREFIXES = ("_orig_mod.", "module.", "model.")
"""What torch.compile, DataParallel and training frameworks put before every name."""
DEEPEST = 8
"""Prefixes that are taken off."""
SHOWN = 3  # names in a sentence, including the "and n more"


@dataclass(frozen=True)
class Recognised:
    """A network whose tensors a file has, and what it was built for: the number of classes and of
    colour channels, None where its tensors do not tell."""

    model: str
    classes: int | None
    channels: int | None


def recognise(tensors: Mapping[str, TensorInfo]) -> tuple[Recognised, ...]:
    """The networks that have these tensors, our own first; several have the same ones. Empty if
    there is none."""
    for names in views(tensors):
        shapes = {name: tensors[source].shape for name, source in names.items()}
        found = [
            Recognised(model, _measured(shapes, axes, CLASSES), _measured(shapes, axes, CHANNELS))
            for model, digest, axes in _by_names().get(digest_of_names(shapes), ())
            if digest_of_shapes(shapes, axes) == digest
        ]
        if found:
            return tuple(found)
    return ()


def sentence(found: tuple[Recognised, ...]) -> str:
    """What was recognised, in words."""
    first, *others = found
    classes = f" with {counted(first.classes, 'class', 'classes')}" if first.classes else ""
    same = listed((other.model for other in others), SHOWN)
    also = f" ({same} {'has' if len(others) == 1 else 'have'} the same tensors)" if others else ""
    return f"These are weights of {first.model}{classes}{also}"


def views(names: Mapping[str, object]) -> Iterator[dict[str, str]]:
    """Ways to read the names of a file: the tensor of a network by its name in the file. Without
    prefixes that all share, or of one part of the file only."""
    part = {name: name for name in names}
    yield part
    for _ in range(DEEPEST):
        inside: dict[str, dict[str, str]] = {}
        for name, source in part.items():
            head, dot, rest = name.partition(".")
            if dot:
                inside.setdefault(head, {})[rest] = source
        yield from inside.values()
        short = {_stripped(name): source for name, source in part.items()}
        if short.keys() != part.keys() and len(short) == len(part):
            yield short
            part = short
        elif inside:
            part = max(inside.values(), key=len)
        else:
            return


def _stripped(name: str) -> str:
    for prefix in PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def _measured(
    shapes: Mapping[str, tuple[int, ...]], axes: Mapping[str, str], letter: str
) -> int | None:
    """The size of the axes with that letter, if all have the same."""
    sizes = {
        size
        for name, letters in axes.items()
        for size, own in zip(shapes[name], letters, strict=False)
        if own == letter
    }
    return sizes.pop() if len(sizes) == 1 else None


@functools.cache
def _by_names() -> Mapping[str, list[tuple[str, str, Mapping[str, str]]]]:
    """The networks of the index by the digest of their tensors' names."""
    found: dict[str, list[tuple[str, str, Mapping[str, str]]]] = {}
    for library, part in index().items():
        for name, row in part["networks"].items():
            if row:
                full = name if library == OWN else f"{library}/{name}"
                found.setdefault(row[0], []).append((full, row[1], row[2]))
    return found
