"""What controls say about a run: whether chance does as well as its criterion's choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.services import CONTROLS, Run, analysis
from app.services.analysis import Measurement
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
    "A criterion decides how many weights each layer keeps, and which, given their values. Each "
    "control trains the same network with one of these left to chance. If it does as well, that "
    "part of the choice did not matter. Shuffled masks and new weights often do "
    "([Frankle et al., 2021](https://arxiv.org/abs/2009.08576))."
)
NOTHING_REMOVED = "No weight was removed, so there is no choice to test."
NOT_TRAINED = "Neither network was trained, so a control would show nothing."
BY_CHANCE = (
    "These weights were chosen at random: shuffling or drawing them again is only another draw."
)


@dataclass(frozen=True)
class Measured:
    """What is known of a run that is done: the test of its pruned network, how many ``classes``
    there are, and the ``digest`` of its data."""

    tested: Measurement
    classes: int
    digest: str

    @property
    def accuracy(self) -> float:
        """On the test images."""
        return self.tested.accuracy


def measured(run: Run) -> Measured | None:
    """The figures of a run as far as its record holds them."""
    share, known = figures.pruned(run), run.summary or {}
    images, classes = known.get("test_images"), known.get("classes")
    if share is None or not isinstance(images, int) or not isinstance(classes, int):
        return None
    return Measured(Measurement(share, images), classes, str(known.get("digest") or ""))


def pointless(run: Run) -> str | None:
    """Why controls of ``run`` would say nothing, if they would not."""
    if not figures.sparsity(run):
        return NOTHING_REMOVED
    if not run.settings.get("epochs"):
        return NOT_TRAINED
    return None


def change(original: Measured, control: Measured) -> str:
    """The difference as it stands below the control's accuracy."""
    apart = analysis.difference(original.tested, control.tested).points
    if not apart:
        return "as the original"
    return signed_points(apart)


def verdict(original: Measured, found: Mapping[str, Measured]) -> str:
    """What the controls that are done say together, and how much of it can be luck."""
    same = {
        name: found[name]
        for name in CONTROLS
        if name in found and found[name].digest == original.digest
    }
    told = []
    if len(same) < len(found):
        told.append("A control tested on different images is left out.")
    if not same:
        return " ".join(told)
    told += _guesses(original) or _compared(original, same)
    told += _draws(same)
    told.append(
        "All of this is one seed, and another one would change every figure: a sweep over several "
        "seeds tells more."
    )
    return " ".join(told)


def _guesses(original: Measured) -> list[str]:
    """If the pruned network is no better than guessing, controls have nothing to lose."""
    if not analysis.against_guessing(original.tested, original.classes).guessing:
        return []
    return [
        f"The pruned network only guesses ({accuracy(original.accuracy)}), so no control can do "
        "worse: a lower sparsity would tell more."
    ]


def _compared(original: Measured, found: Mapping[str, Measured]) -> list[str]:
    against = {
        name: analysis.difference(original.tested, control.tested)
        for name, control in found.items()
    }
    apart = {name: one.points for name, one in against.items()}
    limits = {name: 100 * one.limit for name, one in against.items()}
    within = [name for name in found if against[name].explained]
    lower = [name for name in found if name not in within and apart[name] < 0]
    higher = [name for name in found if name not in within and apart[name] > 0]
    told = []
    for names, where in ((lower, "Lower"), (higher, "Higher")):
        if names:
            limit = max(limits[name] for name in names)
            each = listed([f"{_called(name)} ({signed(apart[name])})" for name in names])
            told.append(
                f"{where} than the original, by more than chance explains (about {limit:.1f} "
                f"points): {each}."
            )
    if lower:
        told.append(f"So it mattered {listed(_asked(lower))}.")
    if higher:
        told.append("There the criterion's choice did worse than chance's.")
    if within:
        limit = max(limits[name] for name in within)
        verb = plural(len(within), "lies", "lie")
        told.append(
            f"{_capital(listed([_called(n) for n in within]))} {verb} within what chance explains "
            f"on {original.tested.images:,} test images (about {limit:.1f} points): nothing shows "
            f"that it mattered {' or '.join(_asked(within))}."
        )
    return told


def _draws(found: Mapping[str, Measured]) -> list[str]:
    """How far controls are apart that leave the same to chance."""
    by_chance: dict[str, list[str]] = {}
    for name in found:
        by_chance.setdefault(CONTROLS[name].chance, []).append(name)
    return [
        f"{_capital(listed([_called(name) for name in names]))} are draws of the same "
        f"kind, {_widest([found[name] for name in names]):.1f} points apart: the draw alone makes "
        "that much difference."
        for names in by_chance.values()
        if len(names) > 1
    ]


def _widest(several: Sequence[Measured]) -> float:
    """The points between the two that differ most."""
    pairs = ((a, b) for a in several for b in several)
    return max(abs(analysis.difference(a.tested, b.tested).points) for a, b in pairs)


def _asked(names: Sequence[str]) -> list[str]:
    """What those controls leave to chance."""
    return list(dict.fromkeys(CONTROLS[name].chance for name in names))


def _called(name: str) -> str:
    """Within a sentence."""
    return f"\N{LEFT DOUBLE QUOTATION MARK}{control_label(name)}\N{RIGHT DOUBLE QUOTATION MARK}"


def _capital(text: str) -> str:
    """With a capital after the quotation mark."""
    return text[:1] + text[1:2].upper() + text[2:]


def described(name: str) -> str:
    """What a control does, for whoever opens one."""
    row = CONTROLS.get(name)
    return f"{row.description} Does it matter {row.chance}?" if row else ""
