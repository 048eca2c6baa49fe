"""What the two networks say to an image, and what pruning changed, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.services.predictions import NETWORKS, OUTCOMES, Frame, Gallery
from app.ui.format import counted, listed, plural

NAMES = {"dense": "dense network", "pruned": "pruned network"}
CHANGED = ("lost", "gained", "changed")

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    # group: (what it is called, the outcomes in it)
    "changed": ("Answer changed", CHANGED),
    "lost": ("Right before, wrong now", ("lost",)),
    "gained": ("Wrong before, right now", ("gained",)),
    "wrong": ("Wrong in both", ("wrong", "changed")),
}

SOURCES = {
    "draw": "Draw",
    "upload": "Upload",
    "test": "Test image",
}

DRAWN = {
    True: "Your drawing, moved and scaled to stand as in the images that the networks learned "
    "from: {pixels}.",
    False: "Your drawing, scaled to {pixels}. The networks learned from photographs; a drawing "
    "looks very different.",
}
UPLOADED = "The central square of your image, scaled to {pixels}."
TESTED = "Test image {number:,} of {of:,}: {pixels}. Neither network learned from it."
SWAP = "Swap dark and light"
SWAP_HELP = (
    "The networks learned from images with {ground} ground. Swapped automatically where an image "
    "has the other one."
)
KINDS = "A JPEG, PNG or other image of at most 20 MB. It is not kept."
PRIVATE = (
    "The images of this run are its owner's own, and only they see them. Draw or upload one of "
    "yours."
)
HINTS = {
    "draw": "Draw something, and both networks answer as soon as you lift the pen.",
    "upload": "Choose an image, and both networks answer.",
    "test": "There is no test image to choose.",
}


def verdict(says: Mapping[str, str], truth: str | None) -> str:
    """Whether both networks say the same, and whether that is right; class names come in
    Markdown. Bold, for it is the answer."""
    dense, pruned = (says[network] for network in NETWORKS)
    if dense == pruned:
        told = f"Both networks say **{dense}**"
        if truth is None:
            return f"{told}."
        return f"{told}, which is right." if dense == truth else f"{told}; right is **{truth}**."
    told = f"They disagree: the dense network says **{dense}**, the pruned one **{pruned}**"
    if truth is None:
        return f"{told}."
    if truth in (dense, pruned):
        return f"{told}. The {NAMES['dense' if dense == truth else 'pruned']} is right."
    return f"{told}; right is **{truth}**."


def top(
    classes: Sequence[str], probabilities: Mapping[str, np.ndarray], most: int = 5
) -> list[int]:
    """The classes that either network believes in most, those both believe in first."""
    both = np.maximum(*(probabilities[network] for network in NETWORKS))
    return [int(i) for i in np.argsort(-both, kind="stable")[: min(most, len(classes))]]


def pixels(shape: tuple[int, ...], frame: Frame) -> str:
    """``8 × 8 grey pixels, bright strokes on dark ground``."""
    channels, height, width = shape
    told = f"{width} × {height} {'grey' if channels == 1 else 'colour'} pixels"
    if frame.ground == "dark":
        return f"{told}, bright strokes on dark ground"
    if frame.ground == "light":
        return f"{told}, dark strokes on light ground"
    return told


def counts(gallery: Gallery) -> str:
    """How many answers pruning changed, and which way."""
    told = {name: sum(gallery.counts[outcome] for outcome in GROUPS[name][1]) for name in GROUPS}
    images = counted(gallery.tested, "test image")
    wrong = told["wrong"]
    if not told["changed"]:
        gets = plural(wrong, "gets", "get")
        also = f" {wrong:,} {gets} the same wrong answer from both." if wrong else ""
        return f"None of {images} changed its answer.{also}"
    parts = [
        f"{number:,} {words}"
        for number, words in (
            (gallery.counts["lost"], "went from right to wrong"),
            (gallery.counts["gained"], "from wrong to right"),
            (gallery.counts["changed"], "from one wrong answer to another"),
        )
        if number
    ]
    both = f" {wrong:,} {plural(wrong, 'is', 'are')} wrong in both." if wrong else ""
    return f"Of {images}, {told['changed']:,} changed the answer: {listed(parts)}.{both}"


def members(gallery: Gallery, group: str) -> tuple[np.ndarray, int]:
    """The positions in the gallery of the images of ``group``, and how many the whole test set
    has of them."""
    wanted = [OUTCOMES.index(outcome) for outcome in GROUPS[group][1]]
    here = np.flatnonzero(np.isin(gallery.outcomes, wanted))
    return here, sum(gallery.counts[outcome] for outcome in GROUPS[group][1])
