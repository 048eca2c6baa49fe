"""The class and part of every image file of a tree: as its format says, from folders, or from
tables of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from prospr_engine.data.label_tables import Labelled, by_tables, table_files, unfitting
from prospr_engine.data.layout import class_folders
from prospr_engine.data.leftovers import is_leftover
from prospr_engine.data.readers.tree import Layout, Tree
from prospr_engine.errors import DataError


def arrange(tree: Tree, is_image: Callable[[str], bool]) -> Layout:
    """Find parts and classes.

    Where both folders and a table could give the classes, folders do if the table says the same,
    or labels fewer images. Raises ``DataError`` if neither gives two classes with images.
    """
    if tree.layout is not None:
        return tree.layout
    tables = table_files(tree)
    if not tables:
        return class_folders(tree, is_image)
    images = sorted(file for file in tree.files if is_image(file) and not is_leftover(file))
    if not images:
        return class_folders(tree, is_image)
    labelled, problem = None, None
    try:
        labelled = by_tables(tree, images, tables)
    except DataError as error:
        problem = error
    try:
        folders = class_folders(tree, is_image)
    except DataError as error:
        if labelled is not None:
            return labelled.layout
        raise problem or DataError(f"{error} {unfitting(tree, tables)}") from None
    if labelled is None or not labelled.sure:
        return folders
    ours, theirs = (
        dict(zip(layout.files, layout.labels.tolist(), strict=True))
        for layout in (folders, labelled.layout)
    )
    if _agree(ours, theirs):
        return folders if {*theirs} <= {*ours} else labelled.layout
    return _either(folders, labelled)


def _agree(ours: Mapping[str, int], theirs: Mapping[str, int]) -> bool:
    """Whether both put those files together that both have."""
    pairs = {(ours[file], label) for file, label in theirs.items() if file in ours}
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def _either(folders: Layout, labelled: Labelled) -> Layout:
    if 2 * labelled.count < len(folders.files):
        note = (
            f"The classes are those of the folders, not of {labelled.described}, which labels "
            f"{labelled.count:,} of {len(folders.files):,} images."
        )
        return replace(folders, notes=(*folders.notes, note))
    note = "The folders are not the classes; without the table, they would be."
    return replace(labelled.layout, notes=(*labelled.layout.notes, note))
