"""Warnings on how many images the classes have."""

from __future__ import annotations

from collections.abc import Sequence

from prospr_engine.data.paths import SHOWN, natural, shortened
from prospr_engine.format import SPACE, counted, listed, plural

FEW = 10  # images of a class
UNEVEN = 5  # times as many images in the largest class as in the smallest


def balance_warnings(classes: Sequence[str], counts: Sequence[int]) -> list[str]:
    """Sentences on ``classes`` with very different numbers of images to train on, or with few.
    ``counts`` are those before any are held out for validation and testing."""
    ranked = sorted(zip(counts, classes, strict=True), key=lambda one: (one[0], natural(one[1])))
    if not ranked:
        return []
    (least, smallest), (most, largest) = ranked[0], ranked[-1]
    warnings = []
    if most >= UNEVEN * max(1, least):
        ratio = f"{most / max(1, least):,.0f}{SPACE}:{SPACE}1"
        warnings.append(
            f"The classes are uneven: {shortened(largest)!r} has {counted(most, 'image')}, "
            f"{shortened(smallest)!r} has {least:,} ({ratio}). A network can be accurate and still "
            "miss the small classes, so compare the accuracies of the classes."
        )
    few = [(count, name) for count, name in ranked if count < FEW]
    if few:
        names = listed([f"{shortened(name)!r} ({count:,})" for count, name in few], SHOWN)
        if len(few) == len(ranked):
            warnings.append(
                f"All classes have fewer than {FEW} images, some of which are held out: {names}. "
                "Accuracies are mostly chance. Add images."
            )
        else:
            warnings.append(
                f"{len(few):,} of {len(ranked):,} classes {plural(len(few), 'has', 'have')} fewer "
                f"than {FEW} images, some of which are held out: {names}. Accuracies of such "
                "classes are mostly chance. Add images, or leave the classes out."
            )
    return warnings
