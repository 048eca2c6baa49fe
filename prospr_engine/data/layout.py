"""The class and part of every image file, from the paths alone.

Supported are class folders, ``class/**/image``, and parts with class folders,
``train/class/**/image``, both inside any number of enclosing folders.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from prospr_engine.data.readers.tree import Tree
from prospr_engine.errors import DataError
from prospr_engine.format import counted, listed

PARTS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
}
NOISE = frozenset({"__macosx", "thumbs.db", "desktop.ini", "icon\r", "$recycle.bin"})
SHOWN = 6  # names in a message, including the "and n more"

Path = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Layout:
    """``files`` sorted by path, ``labels`` (N,), and the indices of those in each part."""

    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: np.ndarray
    parts: dict[str, np.ndarray]
    notes: tuple[str, ...]


def arrange(tree: Tree, is_image: Callable[[str], bool]) -> Layout:
    """Find parts and classes. Raises ``DataError`` if fewer than two classes have images, a class
    is empty, or the parts do not have the same classes."""
    visible = [file for file in tree.files if not _is_noise(file)]
    images = sorted(file for file in visible if is_image(file))
    notes = [*tree.notes, *_left_out(tree.files, visible, images)]
    if not images:
        raise DataError(_sentences(f"{tree.name} contains no readable images.", notes))
    paths = {file: tuple(file.split("/")) for file in images}
    folders = _folders(visible, tree.folders)
    depth = _wrapping(list(paths.values()), folders)
    paths = {file: path[depth:] for file, path in paths.items() if len(path) > depth}
    folders = {folder[depth:] for folder in folders if len(folder) > depth}

    parts, part_notes = _parts(tree.name, list(paths.values()), folders)
    at = 1 if parts else 0  # number of folders above that of the class
    placed = {
        file: (parts.get(path[0], "") if parts else "train", path[at])
        for file, path in paths.items()
        if len(path) > at + 1 and (not parts or path[0] in parts)
    }
    if loose := len(images) - len(placed):
        notes.append(f"Skipped: {counted(loose, 'image')} outside the class folders.")
    notes += part_notes
    if not placed:
        raise DataError(
            _sentences(
                f"{tree.name} has no class folders. Put the images of each class into a folder "
                "named after it.",
                notes,
            )
        )
    classes = _classes(tree.name, placed.values(), folders, parts, notes)
    number = {name: index for index, name in enumerate(classes)}
    found = np.array([part for part, _ in placed.values()])
    return Layout(
        classes,
        tuple(placed),
        np.array([number[name] for _, name in placed.values()], dtype=np.int64),
        {part: np.flatnonzero(found == part) for part in dict.fromkeys(found.tolist())},
        tuple(notes),
    )


def natural(name: str) -> tuple[list[tuple[bool, int, str]], str]:
    """A key that sorts ``image10`` after ``image9``, ignoring case."""
    key = []
    for piece in re.findall(r"[0-9]+|[^0-9]+", name.casefold()):
        # Compared by length, then as text: a file name may be a number too long for ``int``.
        digits = piece.lstrip("0") if piece[0] in "0123456789" else ""
        is_text = piece[0] not in "0123456789"
        key.append((is_text, len(digits), piece if is_text else digits))
    return key, name


def _wrapping(images: Sequence[Path], folders: set[Path]) -> int:
    """How many folders enclose everything: each is alone on its level and has class folders."""
    depth = 0
    while True:
        tops = {folder[depth] for folder in folders if len(folder) > depth}
        if len(tops) != 1 or not _is_deep([path[depth:] for path in images]):
            return depth
        depth += 1


def _is_deep(images: Iterable[Path]) -> bool:
    """Whether most of ``images`` are in a folder inside a folder."""
    depths = [len(path) >= 3 for path in images]
    return 2 * sum(depths) > len(depths)


def _parts(name: str, images: list[Path], folders: set[Path]) -> tuple[dict[str, str], list[str]]:
    """The part of each top folder, or nothing if the top folders are the classes."""
    tops = sorted({folder[0] for folder in folders})
    known = {top: PARTS[top.lower()] for top in tops if top.lower() in PARTS}
    below: dict[str, list[Path]] = {top: [] for top in tops}
    for path in images:
        if len(path) > 1:
            below[path[0]].append(path)
    others = [top for top in tops if top not in known]
    trains = [top for top, part in known.items() if part == "train" and _is_deep(below[top])]
    if not known or (others and not (trains and len(known) > 1)):
        return {}, []  # a class may be called "train" too
    if others:
        raise DataError(
            f"{name} contains {_quoted(others)} beside {_quoted(known)}. Remove everything but "
            "the train, test and validation parts."
        )
    for part in set(known.values()):
        same = [top for top in known if known[top] == part]
        if len(same) > 1:
            raise DataError(
                f"{name} contains {_quoted(same)}, which are names of the same part. Keep one of "
                "them."
            )
    if "train" not in known.values():
        raise DataError(f"{name} contains {_quoted(known)}, but no part named train. Add one.")
    for top in tops:
        if not below[top]:
            raise DataError(
                f"The part {top!r} of {name} contains no images. Add some or remove it."
            )
    # Competitions publish test images without labels: useless here, but not an error.
    flat = [top for top in tops if known[top] != "train" and not _is_deep(below[top])]
    parts = {top: part for top, part in known.items() if top not in flat}
    notes = [f"The images in {top!r} have no classes and cannot be used." for top in flat]
    if "validation" in parts.values() and "test" not in parts.values():
        top = next(top for top, part in parts.items() if part == "validation")
        parts[top] = "test"
        notes.append(f"There is no test part, so the images in {top!r} are used for testing.")
    return parts, notes


def _classes(
    name: str,
    placed: Iterable[tuple[str, str]],
    folders: set[Path],
    parts: dict[str, str],
    notes: list[str],
) -> tuple[str, ...]:
    filled = Counter(placed)
    top_of = {part: top for top, part in parts.items()} or {"train": ""}
    for part, top in top_of.items():
        own = {folder[1] for folder in folders if len(folder) > 1 and folder[0] == top}
        own = own if parts else {folder[0] for folder in folders}
        empty = [folder for folder in own if not filled[part, folder]]
        if empty:
            where = f"part {top!r} of {name}" if top else name
            raise DataError(
                _sentences(
                    f"The class {_quoted(empty)} of {where} contains no readable images. Add "
                    "images or remove the folder.",
                    notes,
                )
            )
    classes = {part: {own for p, own in filled if p == part} for part in top_of}
    for part, top in top_of.items():
        if odd := classes["train"] ^ classes[part]:
            raise DataError(
                f"The parts {top_of['train']!r} and {top!r} of {name} must have the same classes, "
                f"but only one of them has {_quoted(odd)}. Add the missing folders, or remove the "
                "extra ones."
            )
    if len(classes["train"]) < 2:
        raise DataError(
            _sentences(
                f"{name} has only the class {_quoted(classes['train'])}. Give at least 2 classes, "
                "with a folder for each.",
                notes,
            )
        )
    return tuple(sorted(classes["train"], key=natural))


def _left_out(files: Sequence[str], visible: Sequence[str], images: Sequence[str]) -> Iterable[str]:
    if hidden := len(files) - len(visible):
        yield f"Skipped: {counted(hidden, 'hidden or system file')}."
    chosen = set(images)
    others = [file for file in visible if file not in chosen]
    if others:
        kinds = Counter(PurePosixPath(file).suffix.lower() or "no extension" for file in others)
        shown = ", ".join(kind for kind, _ in kinds.most_common(SHOWN))
        yield f"Skipped: {counted(len(others), 'file')} of other types ({shown})."


def _is_noise(path: str) -> bool:
    return any(piece.startswith(".") or piece.lower() in NOISE for piece in path.split("/"))


def _folders(files: Iterable[str], folders: Iterable[str]) -> set[Path]:
    found = {tuple(folder.split("/")) for folder in folders if folder and not _is_noise(folder)}
    found |= {tuple(file.split("/")[:-1]) for file in files}
    return {folder[:depth] for folder in found for depth in range(1, len(folder) + 1)}


def _quoted(names: Iterable[str]) -> str:
    return listed(map(repr, sorted(names, key=natural)), SHOWN)


def _sentences(first: str, notes: Iterable[str]) -> str:
    return " ".join([first, *notes])
