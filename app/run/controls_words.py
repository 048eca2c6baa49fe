"""What the controls of a run show: whether its criterion's choice beats chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.services import CHANNELS, CONTROLS, Run, analysis
from app.services.analysis import Measurement
from app.services.summary import summary_of
from app.ui import figures
from app.ui.format import (
    accuracy,
    listed,
    plural,
    signed,
    signed_points,
)
from app.ui.titles import control_label

ABOUT = (
    "A criterion decides how many weights each layer keeps, and which ones, given their values. "
    "Each control trains the same network with one of these left to chance. If it does as well, "
    "nothing shows that this part of the choice mattered. Shuffled masks and new weights often do "
    "as well ([Frankle et al., 2021](https://arxiv.org/abs/2009.08576))."
)
OF_WEIGHTS = (
    "Controls move single weights, and this run removed channels. To see whether the choice of "
    "channels matters, start the same settings with the criterion Random."
)
NOTHING_REMOVED = "No weight was removed, so there is no choice to test."
NOT_TRAINED = "Neither network was trained, so a control would show nothing."
BY_CHANCE = (
    "These weights were chosen at random; shuffling them or drawing new ones is just another "
    "random choice."
)


@dataclass(frozen=True)
class Measured:
    """A finished run: the test of its pruned network, its number of ``classes``, and the ``digest``
    of its data."""

    tested: Measurement
    classes: int
    digest: str

    @property
    def accuracy(self) -> float:
        """On the test images."""
        return self.tested.accuracy


def measured(run: Run) -> Measured | None:
    """The figures of a run; None if it is not done or some are missing."""
    known = summary_of(run)
    if known.pruned is None or known.test_images is None or known.classes is None:
        return None
    tested = Measurement(
        known.pruned, known.test_images, known.commonest, known.balanced, known.rarest
    )
    return Measured(tested, known.classes, known.digest)


def no_controls(run: Run) -> str | None:
    """Why controls of ``run`` would be meaningless; None if they are not."""
    if run.settings.get("kind") == CHANNELS:
        return OF_WEIGHTS
    if not figures.sparsity(run):
        return NOTHING_REMOVED
    if not run.settings.get("epochs"):
        return NOT_TRAINED
    return None


def change(original: Measured, control: Measured) -> str:
    """The difference in accuracy from the original."""
    difference = analysis.difference(original.tested, control.tested).points
    return signed_points(difference) if difference else "same as the original"


def verdict(original: Measured, found: Mapping[str, Measured]) -> str:
    """What the finished controls show together, and how much of it could be due to chance."""
    same = {
        name: found[name]
        for name in CONTROLS
        if name in found and found[name].digest == original.digest
    }
    sentences = []
    if len(same) < len(found):
        sentences.append("A control tested on different images is left out.")
    if not same:
        return " ".join(sentences)
    sentences += _guesses(original) or _compared(original, same)
    sentences += _draws(same)
    sentences.append("This is one seed; a sweep over several seeds is more conclusive.")
    return " ".join(sentences)


def _guesses(original: Measured) -> list[str]:
    """A sentence if the pruned network is no better than guessing: then controls show nothing."""
    if not analysis.against_guessing(original.tested, original.classes).guessing:
        return []
    return [
        f"The pruned network only guesses ({accuracy(original.accuracy)}), so no control can do "
        "worse. Try a lower sparsity."
    ]


def _compared(original: Measured, found: Mapping[str, Measured]) -> list[str]:
    together = analysis.differences(original.tested, [one.tested for one in found.values()])
    against = dict(zip(found, together, strict=True))
    differences = {name: one.points for name, one in against.items()}
    # Two draws of one question show how much a draw alone can do.
    drawn = {chance: _widest([found[n] for n in names]) for chance, names in _by_chance(found)}
    limits = {
        name: max(100 * one.limit, drawn[CONTROLS[name].chance]) for name, one in against.items()
    }
    within = [name for name in found if abs(differences[name]) <= limits[name]]
    lower = [name for name in found if name not in within and differences[name] < 0]
    higher = [name for name in found if name not in within and differences[name] > 0]
    sentences = []
    for names, where in ((lower, "Lower"), (higher, "Higher")):
        if names:
            limit = max(limits[name] for name in names)
            each = listed([f"{_quoted(name)} ({signed(differences[name])})" for name in names])
            sentences.append(
                f"{where} than the original, by more than chance explains on these test images "
                f"(about {limit:.1f} points): {each}."
            )
    if lower:
        properties = listed(_tested_properties(lower))
        sentences.append(f"For this seed, that suggests that it mattered {properties}.")
    if higher:
        sentences.append("There, for this seed, the criterion's choice did worse than chance.")
    if within:
        limit = max(limits[name] for name in within)
        verb = plural(len(within), "lies", "lie")
        sentences.append(
            f"{_capital(listed([_quoted(n) for n in within]))} {verb} within what chance explains "
            f"on {original.tested.images:,} test images (about {limit:.1f} points): nothing shows "
            f"that it mattered {' or '.join(_tested_properties(within))}."
        )
    return sentences


def _draws(found: Mapping[str, Measured]) -> list[str]:
    """The differences between controls that leave the same thing to chance."""
    return [
        f"{_capital(listed([_quoted(name) for name in names]))} leave the same to "
        f"chance and differ by {_widest([found[name] for name in names]):.1f} points: that much "
        "difference is chance alone."
        for _, names in _by_chance(found)
        if len(names) > 1
    ]


def _by_chance(found: Mapping[str, Measured]) -> list[tuple[str, list[str]]]:
    """What controls leave to chance, and those that do."""
    groups: dict[str, list[str]] = {}
    for name in found:
        groups.setdefault(CONTROLS[name].chance, []).append(name)
    return list(groups.items())


def _widest(several: Sequence[Measured]) -> float:
    """The largest difference between any two, in points."""
    pairs = ((a, b) for a in several for b in several)
    return max(abs(analysis.difference(a.tested, b.tested).points) for a, b in pairs)


def _tested_properties(names: Sequence[str]) -> list[str]:
    """What those controls leave to chance."""
    return list(dict.fromkeys(CONTROLS[name].chance for name in names))


def _quoted(name: str) -> str:
    """The label in quotation marks."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{control_label(name)}\N{RIGHT DOUBLE QUOTATION MARK}"


def _capital(text: str) -> str:
    """``text`` with a capital letter after its quotation mark."""
    return text[:1] + text[1:2].upper() + text[2:]


def described(name: str) -> str:
    """What a control does and tests."""
    row = CONTROLS.get(name)
    return f"{row.description} Does it matter {row.chance}?" if row else ""
