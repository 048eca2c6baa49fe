"""The class and part of every image file, from the folders that it lies in.

Supported are class folders, ``class/**/image``; parts with class folders,
``train/class/**/image``; and class folders with parts, ``class/train/**/image``; each inside any
number of enclosing folders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

import numpy as np

from prospr_engine.data.ambiguity import check_annotations, check_levels, doubts
from prospr_engine.data.leftovers import is_leftover
from prospr_engine.data.part_names import is_annotation, is_filler, parts_among
from prospr_engine.data.parts import classes_around_parts, find_parts, wrappers
from prospr_engine.data.paths import SHOWN, Path, is_deep, natural, quoted, split
from prospr_engine.data.readers.tree import Layout, Tree
from prospr_engine.errors import DataError
from prospr_engine.format import counted


def class_folders(tree: Tree, is_image: Callable[[str], bool]) -> Layout:
    """Find parts and classes; a note names empty folders. Raises ``DataError`` if fewer than two
    classes have images, a class has other files only or is empty in one part only, the parts do not
    have the same classes, or it is unclear which folders are the classes."""
    visible = [file for file in tree.files if not is_leftover(file)]
    images = sorted(file for file in visible if is_image(file))
    notes = [*tree.notes, *left_out(tree.files, visible, images)]
    if not images:
        raise DataError(_sentences(f"{tree.name} contains no readable images.", notes))
    paths = {file: split(file) for file in images}
    folders = _folders(visible, tree.folders)
    depth = _wrapping(list(paths.values()), folders)
    paths = {file: path[depth:] for file, path in paths.items() if len(path) > depth}
    folders = {folder[depth:] for folder in folders if len(folder) > depth}

    if classes_around_parts(list(paths.values())):
        paths = {
            file: (path[1], path[0], *path[2:]) for file, path in paths.items() if len(path) > 2
        }
        folders = {(folder[1], folder[0], *folder[2:]) for folder in folders if len(folder) > 1}
    known = parts_among({folder[0] for folder in folders})
    inner = wrappers(list(paths.values()), known)
    paths = {file: _without(path, inner) for file, path in paths.items()}
    folders = {_without(folder, inner) for folder in folders}
    parts, part_notes = find_parts(tree.name, list(paths.values()), folders)

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
    level_notes = check_levels(tree.name, [paths[file][at:] for file in placed])
    occupied = {folder for file in visible for folder in split(file)[:-1]}
    classes = _classes(tree.name, placed.values(), folders, parts, occupied, notes)
    notes += [*level_notes, *doubts(classes)]
    number = {name: index for index, name in enumerate(classes)}
    found = np.array([part for part, _ in placed.values()])
    return Layout(
        classes,
        tuple(placed),
        np.array([number[name] for _, name in placed.values()], dtype=np.int64),
        {part: np.flatnonzero(found == part) for part in dict.fromkeys(found.tolist())},
        tuple(notes),
    )


def _wrapping(images: Sequence[Path], folders: set[Path]) -> int:
    """How many folders enclose everything: each has class folders and is alone on its level, or
    alone in having images and called ``images`` or beside annotations."""
    depth = 0
    while True:
        tops = {folder[depth] for folder in folders if len(folder) > depth}
        filled = {path[depth] for path in images if len(path) > depth + 1}
        alone = len(tops) == 1 or (
            len(filled) == 1
            and (is_filler(next(iter(filled))) or all(map(is_annotation, tops - filled)))
        )
        if not alone or not is_deep([path[depth:] for path in images]):
            return depth
        depth += 1


def _without(path: Path, inner: Mapping[str, int]) -> Path:
    """``path`` without the folders around the classes of its part."""
    return path[:1] + path[1 + inner.get(path[0], 0) :]


def _classes(
    name: str,
    placed: Iterable[tuple[str, str]],
    folders: set[Path],
    parts: dict[str, str],
    occupied: set[str],
    notes: list[str],
) -> tuple[str, ...]:
    filled = Counter(placed)
    unused: set[str] = set()
    top_of = {part: top for top, part in parts.items()} or {"train": ""}
    for part, top in top_of.items():
        own = {folder[1] for folder in folders if len(folder) > 1 and folder[0] == top}
        own = own if parts else {folder[0] for folder in folders}
        empty = [folder for folder in own if not filled[part, folder]]
        check_annotations(name, own)
        unused |= {*empty} - occupied
        if empty := [folder for folder in empty if folder in occupied]:
            where = f"part {top!r} of {name}" if top else name
            raise DataError(
                _sentences(
                    f"The class {quoted(empty)} of {where} contains no readable images. Add "
                    "images or remove the folder.",
                    notes,
                )
            )
    if unused:
        notes.append(f"Skipped: {counted(len(unused), 'empty folder')} ({quoted(unused)}).")
    classes = {part: {own for p, own in filled if p == part} for part in top_of}
    for part, top in top_of.items():
        if odd := classes["train"] ^ classes[part]:
            raise DataError(
                f"The parts {top_of['train']!r} and {top!r} of {name} must have the same classes, "
                f"but only one of them has {quoted(odd)}. {_remedy(odd)}"
            )
    if len(classes["train"]) < 2:
        raise DataError(
            _sentences(
                f"{name} has only the class {quoted(classes['train'])}. Give at least 2 classes, "
                "with a folder for each.",
                notes,
            )
        )
    return tuple(sorted(classes["train"], key=natural))


def _remedy(odd: Iterable[str]) -> str:
    if len({" ".join(name.casefold().split()) for name in odd}) < len({*odd}):
        return "They differ in letter case or spaces only: give them the same name."
    return "Add the missing folders, or remove the extra ones."


def left_out(files: Sequence[str], visible: Sequence[str], images: Sequence[str]) -> Iterable[str]:
    if hidden := len(files) - len(visible):
        yield f"Skipped: {counted(hidden, 'hidden or system file')}."
    chosen = set(images)
    others = [file for file in visible if file not in chosen]
    if others:
        kinds = Counter(PurePosixPath(file).suffix.lower() or "no extension" for file in others)
        shown = ", ".join(kind for kind, _ in kinds.most_common(SHOWN))
        yield f"Skipped: {counted(len(others), 'file')} of other types ({shown})."


def _folders(files: Iterable[str], folders: Iterable[str]) -> set[Path]:
    found = {split(folder) for folder in folders if folder and not is_leftover(folder)}
    found |= {split(file)[:-1] for file in files}
    return {folder[:depth] for folder in found for depth in range(1, len(folder) + 1)}


def _sentences(first: str, notes: Iterable[str]) -> str:
    return " ".join([first, *notes])
