"""From the label and part of every image to a layout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from prospr_engine.data.paths import SHOWN, natural, quoted
from prospr_engine.data.readers.tree import Layout
from prospr_engine.errors import DataError
from prospr_engine.format import listed, plural

MANY = 20  # classes, from which on they cannot be as many as there are images


def layout_of(
    name: str,
    files: Sequence[str],
    labels: Sequence[str],
    parts: Sequence[str],
    notes: Sequence[str],
    order: Sequence[str] = (),
) -> Layout:
    """The layout of ``files`` with one label and part each, ``"train"``, ``"validation"`` or
    ``"test"``; classes in the given ``order``, or else that of their names. Without a test part,
    the validation part is used for testing.

    Raises ``DataError`` if the training part has fewer than two classes or lacks one.
    """
    notes = [*notes]
    if "test" not in parts and "validation" in parts:
        parts = ["test" if part == "validation" else part for part in parts]
        notes.append("There is no test part, so the validation images are used for testing.")
    said = np.array(parts, dtype=object)
    counts = Counter(label for label, part in zip(labels, parts, strict=True) if part == "train")
    if labels and not counts:
        raise DataError(f"{name} has no part to train on. Name one of its parts train.")
    if odd := {*labels} - {*counts}:
        where = {part for label, part in zip(labels, parts, strict=True) if label in odd}
        raise DataError(
            f"{quoted(odd)} of {name} {plural(len(odd), 'is', 'are')} in the "
            f"{listed(sorted(where))} part only. Give the training part images of every class."
        )
    if len(counts) < 2:
        only = f"only the label {quoted(counts)}" if counts else "no image with a label"
        raise DataError(" ".join([f"{name} has {only}. Give at least 2 classes.", *notes]))
    if len(counts) > MANY and len(counts) >= sum(counts.values()):
        raise DataError(
            f"Every image of {name} has a label of its own ({listed(sorted(counts), SHOWN)}), so "
            "these are not classes. Give the same label to all images of a class."
        )
    places = {label: place for place, label in enumerate(order) if label in counts}
    classes = tuple(places) if len(places) == len(counts) else tuple(sorted(counts, key=natural))
    places = {label: place for place, label in enumerate(classes)}
    return Layout(
        classes,
        tuple(files),
        np.array([places[label] for label in labels], dtype=np.int64),
        {
            part: np.flatnonzero(said == part)
            for part in ("train", "validation", "test")
            if part in parts
        },
        tuple(notes),
    )
