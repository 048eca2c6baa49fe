"""Sentences about the predictions of the two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from app.services.predictions import NETWORKS, OUTCOMES, Frame, Gallery
from app.ui.format import counted, listed, plural

NAMES = {"dense": "dense network", "pruned": "pruned network"}
CHANGED = ("lost", "gained", "changed")

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    # group: (its label, its outcomes)
    "changed": ("Prediction changed", CHANGED),
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
    True: "Your drawing, moved and scaled as in the training images: {pixels}.",
    False: "Your drawing, scaled to {pixels}. The networks were trained on photos, which look very "
    "different from drawings.",
}
UPLOADED = "The central square of your image, scaled to {pixels}."
TESTED = "Test image {number:,} of {of:,}: {pixels}. Neither network was trained on it."
SWAP = "Swap dark and light"
SWAP_HELP = (
    "The training images have a {ground} background. Images with the other one are swapped "
    "automatically."
)
KINDS = "A JPEG, PNG or other image of at most 20 MB. It is not stored."
PRIVATE = "Only the owner of this run can see its images. Draw or upload one of your own."
HINTS = {
    "draw": "Draw something: both networks answer as soon as you lift the pen.",
    "upload": "Choose an image: both networks will classify it.",
    "test": "There is no test image to choose.",
}


def verdict(says: Mapping[str, str], truth: str | None) -> str:
    """Whether both networks predict the same class, and whether it is right; class names are
    escaped for Markdown."""
    dense, pruned = (says[network] for network in NETWORKS)
    if dense == pruned:
        text = f"Both networks say **{dense}**"
        if truth is None:
            return f"{text}."
        return f"{text}, which is right." if dense == truth else f"{text}; it is **{truth}**."
    text = f"They disagree: the dense network says **{dense}**, the pruned one **{pruned}**"
    if truth is None:
        return f"{text}."
    if truth in (dense, pruned):
        return f"{text}. The {NAMES['dense' if dense == truth else 'pruned']} is right."
    return f"{text}; it is **{truth}**."


def top(
    classes: Sequence[str], probabilities: Mapping[str, np.ndarray], most: int = 5
) -> list[int]:
    """The classes with the highest probability in either network, highest first."""
    both = np.maximum(*(probabilities[network] for network in NETWORKS))
    return [int(i) for i in np.argsort(-both, kind="stable")[: min(most, len(classes))]]


def pixels(shape: tuple[int, ...], frame: Frame) -> str:
    """``8 × 8 grey pixels, bright strokes on a dark background``."""
    channels, height, width = shape
    text = f"{width} × {height} {'grey' if channels == 1 else 'colour'} pixels"
    if frame.ground == "dark":
        return f"{text}, bright strokes on a dark background"
    if frame.ground == "light":
        return f"{text}, dark strokes on a light background"
    return text


def counts(gallery: Gallery) -> str:
    """How many predictions pruning changed, and how."""
    totals = {name: sum(gallery.counts[outcome] for outcome in GROUPS[name][1]) for name in GROUPS}
    images = counted(gallery.tested, "test image")
    wrong = totals["wrong"]
    if not totals["changed"]:
        verb = plural(wrong, "is", "are")
        also = f" {wrong:,} {verb} wrong in both." if wrong else ""
        return f"The predictions of all {images} are unchanged.{also}"
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
    return f"Of {images}, the predictions of {totals['changed']:,} changed: {listed(parts)}.{both}"


def members(gallery: Gallery, group: str) -> tuple[np.ndarray, int]:
    """The indices in the gallery of the images of ``group``, and their number in the whole test
    set."""
    wanted = [OUTCOMES.index(outcome) for outcome in GROUPS[group][1]]
    here = np.flatnonzero(np.isin(gallery.outcomes, wanted))
    return here, sum(gallery.counts[outcome] for outcome in GROUPS[group][1])
