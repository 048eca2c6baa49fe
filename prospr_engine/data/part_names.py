"""Which folder names say training, validation or test part.

People write ``train``, ``Training``, ``train_images``, ``seg_train``, ``training_set``,
``TrainData``, ``asl_alphabet_train``, ``dev`` and ``eval``. Such a word is not enough:
``training_real`` and ``training_fake`` may be classes. So what else the names say must be the same.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator

UNLABELLED = "unlabelled"
"""Images without classes, such as those that a competition wants classified."""
EVALUATION = "evaluation"
"""The test part beside a validation part, else the validation part."""
WORDS = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), "train"),
    **dict.fromkeys(("test", "testing", "tst", "holdout"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev", "development"), "validation"),
    **dict.fromkeys(("eval", "evaluation"), EVALUATION),
    **dict.fromkeys(("pred", "predict", "prediction", "predictions"), UNLABELLED),
    **dict.fromkeys(("unlabeled", "unlabelled", "submission", "inference"), UNLABELLED),
}
FILLERS = frozenset(
    {
        *("data", "dataset", "datasets", "set", "sets", "split", "splits", "subset", "part", "seg"),
        *(
            "image",
            "images",
            "img",
            "imgs",
            "picture",
            "pictures",
            "photo",
            "photos",
            "pic",
            "pics",
        ),
        *("folder", "folders", "dir", "file", "files", "sample", "samples", "jpg", "jpeg", "png"),
    }
)
PIECE = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+")  # digits say nothing


def parts_among(names: Iterable[str]) -> dict[str, str]:
    """The part of each of ``names``, folders side by side, that is named like one; ``"train"``,
    ``"validation"``, ``"test"`` or ``UNLABELLED``."""
    said = {name: _said(name) for name in names}
    groups: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for name, (part, rest) in said.items():
        if part:
            groups[rest][name] = part
    complete = [
        own for own in groups.values() if "train" in own.values() and len({*own.values()}) > 1
    ]
    known = groups[()] if groups[()] in complete or not complete else complete[0]
    if known in complete:
        known |= {name: part for name, (part, _) in said.items() if part == UNLABELLED}
    evaluation = "validation"
    if "validation" in known.values() and "test" not in known.values():
        evaluation = "test"
    return {name: evaluation if part == EVALUATION else part for name, part in known.items()}


def says_part(name: str, part: str) -> bool:
    """Whether ``name`` is that of a part, or of such a part and more."""
    return _said(name)[0] == part


def is_filler(name: str) -> bool:
    """Whether the name only says that there are images: ``images``, ``Data``."""
    pieces = [*_pieces(name)]
    return bool(pieces) and {*pieces} <= FILLERS


def _said(name: str) -> tuple[str, tuple[str, ...]]:
    """The part that ``name`` says ("" if none, or several) and what else it says."""
    pieces = [*_pieces(name)]
    parts = {WORDS[piece] for piece in pieces if piece in WORDS}
    if parts == {"train", "validation"}:  # both in one
        parts = {"train"}
    rest = tuple(piece for piece in pieces if piece not in WORDS and piece not in FILLERS)
    return (parts.pop(), rest) if len(parts) == 1 else ("", rest)


def _pieces(name: str) -> Iterator[str]:
    for piece in map(str.lower, PIECE.findall(name)):
        yield from _halves(piece)


def _halves(piece: str) -> tuple[str, ...]:
    """``trainset`` as ``train`` and ``set``."""
    if piece not in WORDS and piece not in FILLERS:
        for at in range(3, len(piece) - 2):
            halves = piece[:at], piece[at:]
            if any(half in WORDS for half in halves) and any(half in FILLERS for half in halves):
                return halves
    return (piece,)
