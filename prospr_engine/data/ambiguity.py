"""Folders that may not be the classes that they are taken for: refused, or noted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prospr_engine.data.part_names import is_annotation, is_filler, parts_among, words
from prospr_engine.data.paths import Path, natural, quoted
from prospr_engine.errors import DataError

Children = dict[Path, set[str]]
"""By path of a folder: the folders in it that have images, at any depth."""


def check_levels(name: str, images: Sequence[Path]) -> list[str]:
    """Raise ``DataError`` where the top folders of ``images`` may not be the classes: they hold the
    same folders (``raw/cat``, ``augmented/cat``), one another (``cat``, ``dog``, ``copy/cat``,
    ``copy/dog``), or the parts of a set. Returns notes on the folders in them."""
    children = _children(images)
    direct = {path[:-1] for path in images}
    tops = children.get((), set())
    inner: dict[str, set[str]] = {}
    with_parts = {}
    for top in tops:
        below, parts = _first_choice((top,), children, direct)
        inner[top] = below
        if parts:
            with_parts[top] = parts
    _check_same(name, inner)
    _check_nested(name, children, direct)
    if len(tops) > 1 and with_parts:
        top = sorted(with_parts, key=natural)[0]
        raise DataError(
            f"In {name}, {top!r} contains {quoted(with_parts[top])} of its own, but not all "
            "folders beside it do, so it is unclear what the classes are. Give one folder that has "
            "parts alone."
        )
    merged = {own for below in inner.values() if len(below) > 1 for own in below}
    note = f"The folders inside the class folders ({quoted(merged)}) are not classes of their own."
    return [note] if merged else []


def check_annotations(name: str, folders: Iterable[str]) -> None:
    """Raise ``DataError`` for ``images`` and ``masks`` in place of classes."""
    folders = {*folders}
    marks = {folder for folder in folders if is_annotation(folder)}
    others = folders - marks
    if marks and others and all(is_filler(folder, parts=True) for folder in others):
        raise DataError(
            f"{name} contains {quoted(folders)} in place of classes, as sets for detection and "
            "segmentation do. Give a folder of images for each class."
        )


def doubts(classes: Sequence[str]) -> Iterator[str]:
    """Notes on ``classes`` that may be one class, or no classes."""
    same: dict[str, list[str]] = defaultdict(list)
    for one in classes:
        same[" ".join(one.casefold().split()).rstrip(". ")].append(one)
    if alike := [one for group in same.values() if len(group) > 1 for one in group]:
        yield (
            f"The classes {quoted(alike)} differ in letter case, spaces or dots only. If they are "
            "the same class, give their folders the same name."
        )
    spelt = {tuple(words(one)) for one in classes}
    if len(spelt) == 1 and any(is_filler(word) for word in spelt.pop()):
        yield (
            f"The classes {quoted(classes)} differ in numbers only, as portions of one set do. If "
            "they are portions, make a folder for each class instead."
        )


def _children(images: Iterable[Path]) -> Children:
    found: Children = defaultdict(set)
    for path in images:
        for depth in range(len(path) - 1):
            found[path[:depth]].add(path[depth])
    return found


def _first_choice(
    folder: Path, children: Children, direct: set[Path]
) -> tuple[set[str], list[str]]:
    """The first folders below ``folder`` that are several, or those in its parts; and the parts."""
    parts: list[str] = []
    while len(children.get(folder, ())) == 1 and folder not in direct:
        (only,) = children[folder]
        folder = (*folder, only)
    below = children.get(folder, set())
    found = parts_among(below)
    if "train" in found.values() and len({*found.values()}) > 1:
        parts = sorted(found, key=natural)
        below = {own for part in parts for own in children.get((*folder, part), ())}
    return below, parts


def _check_same(name: str, inner: dict[str, set[str]]) -> None:
    counts = Counter(own for below in inner.values() for own in below)
    same = {own for own, count in counts.items() if 2 * count > len(inner)}
    if len(inner) < 2 or len(same) < 2 or 2 * len(same) < len(counts):
        return
    tops = [top for top, below in inner.items() if below & same]
    raise DataError(
        f"In {name}, {quoted(tops)} all contain {quoted(same)}, so it is unclear which of them are "
        f"the classes. If {quoted(same)} are, give one of the others alone, or name them train, "
        f"test and validation. If {quoted(tops)} are, move their images out of the folders inside "
        "them."
    )


def _check_nested(name: str, children: Children, direct: set[Path]) -> None:
    """Refuse a folder that contains what lies beside it: a copy of the set, or a part of it."""
    for folder, own in children.items():
        for child in sorted(own, key=natural):
            below, _ = _first_choice((*folder, child), children, direct)
            same = below & (own - {child})
            if len(same) > 1:
                raise DataError(
                    f"{name} contains {quoted(same)} both beside and within "
                    f"{'/'.join((*folder, child))!r}. Remove one of the two, or move those beside "
                    "it into a folder named train."
                )
