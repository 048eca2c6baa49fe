"""The training, validation and test parts among the folders of a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prospr_engine.data.part_names import UNLABELLED, is_filler, parts_among, says_part
from prospr_engine.data.paths import Path, is_deep, quoted
from prospr_engine.errors import DataError


def classes_around_parts(images: Sequence[Path]) -> bool:
    """Whether the parts lie within the class folders: ``class/train/image``."""
    below: dict[str, set[str]] = {}
    for path in images:
        if len(path) > 1:
            below.setdefault(path[0], set()).update(path[1:-1][:1])
    if len(below) < 2 or {*parts_among(below)} == {*below}:
        return False
    parts = parts_among({name for names in below.values() for name in names})
    trains = {name for name, part in parts.items() if part == "train"}
    return len({*parts.values()}) > 1 and all(
        names & trains and names <= {*parts} for names in below.values()
    )


def find_parts(
    name: str, images: Sequence[Path], folders: set[Path]
) -> tuple[dict[str, str], list[str]]:
    """The part of each top folder and notes, or no parts if the top folders are the classes."""
    tops = sorted({folder[0] for folder in folders})
    below: dict[str, list[Path]] = {top: [] for top in tops}
    for path in images:
        if len(path) > 1:
            below[path[0]].append(path)
    known = parts_among(tops)
    others = [top for top in tops if top not in known]
    deep = {top for top in known if is_deep(below[top])}
    trains = [top for top in deep if known[top] == "train"]
    notes = []
    if trains and len(known) > 1:
        if bare := [top for top in others if not below[top]]:
            notes.append(f"Skipped: {quoted(bare)}, without images.")
        others = [top for top in others if below[top]]
    elif known and (others or not (deep or len({*known.values()}) > 1)):
        _check_classes(name, known, others, below, deep)
        # A class may be called "train" too.
        return {}, [
            f"Taken for a class: {quoted(known)}, beside {quoted(others)}."
        ] if others else []
    if not known:
        return {}, []
    if others:
        raise DataError(
            f"{name} contains {quoted(others)} beside {quoted(known)}. Remove everything but "
            "the train, test and validation parts."
        )
    for part in {*known.values()} - {UNLABELLED}:
        same = [top for top in known if known[top] == part]
        if len(same) > 1:
            raise DataError(
                f"{name} contains {quoted(same)}, which are names of the same part. Keep one of "
                "them."
            )
    if "train" not in known.values():
        raise DataError(f"{name} contains {quoted(known)}, but no part named train. Add one.")
    for top in known:
        if not below[top]:
            raise DataError(
                f"The part {top!r} of {name} contains no images. Add some or remove it."
            )
    return _labelled(known, deep, notes), notes


def _check_classes(
    name: str,
    known: Mapping[str, str],
    others: Sequence[str],
    below: Mapping[str, Sequence[Path]],
    deep: set[str],
) -> None:
    """Refuse ``cat``, ``dog`` and ``test``, if ``test`` holds ``cat`` and ``dog`` too; ``train``,
    ``test`` and ``extra`` without classes in them; and ``unlabelled`` beside folders of classes."""
    said = {*known.values()}
    if "train" in said and len(said) > 1:
        raise DataError(
            f"{name} contains {quoted(known)}, which are named like parts, without class folders "
            f"in them, beside {quoted(others)}. Make a folder for each class, named after it."
        )
    if said == {UNLABELLED} and not deep and all(is_deep(below[top]) for top in others):
        raise DataError(
            f"{name} contains {quoted(known)}, without class folders in it, beside "
            f"{quoted(others)}, which have some. Give {quoted(others)} alone."
        )
    for top in known:
        same = {path[1] for path in below[top] if len(path) > 2} & {*others}
        if len(same) > 1:
            raise DataError(
                f"{name} contains {quoted(same)} both beside and within {top!r}. Move those beside "
                "it into a folder named train."
            )


def _labelled(known: Mapping[str, str], deep: set[str], notes: list[str]) -> dict[str, str]:
    # Competitions publish test images without labels: useless here, but not an error.
    flat = [
        top
        for top, part in known.items()
        if part == UNLABELLED or (part != "train" and top not in deep)
    ]
    parts = {top: part for top, part in known.items() if top not in flat}
    notes += [f"The images in {top!r} have no classes and cannot be used." for top in flat]
    if "validation" in parts.values() and "test" not in parts.values():
        top = next(top for top, part in parts.items() if part == "validation")
        parts[top] = "test"
        notes.append(f"There is no test part, so the images in {top!r} are used for testing.")
    return parts


def wrappers(images: Sequence[Path], known: Mapping[str, str]) -> dict[str, int]:
    """How many folders lie around the classes within each part: one in ``train/train/class``."""
    depths = dict.fromkeys(known, 0)
    if "train" not in known.values() or len({*known.values()}) < 2:
        return depths
    for top, part in known.items():
        below = [path[1:] for path in images if path[0] == top]
        while below and len(folders := {path[0] for path in below if len(path) > 1}) == 1:
            (wrapper,) = folders
            inside = [path[1:] for path in below if len(path) > 1]
            says_nothing = part != "train" and (is_filler(wrapper) or wrapper.lower() == "unknown")
            named = wrapper == top or says_part(wrapper, part) or says_nothing
            if not (named or is_deep(inside, 2)):
                break
            below, depths[top] = inside, depths[top] + 1
    return depths
