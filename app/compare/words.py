"""What the chart of a comparison shows and what it does not, from the data.

``frame`` is a row per cell of all that is compared, the failed and the waiting ones too, see
``charts.compare_accuracy``; ``classes`` is how many the data have, where the page knows better
than the catalogue. ``under(frame, start, classes)`` are the sentences under the chart, in order;
``unlike(frame)`` those that warn above it; ``standing(frame)`` says what is not done.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from app.services import CONTROLS, analysis
from app.services.analysis import Controlled, Level, done
from app.ui.format import (
    accuracy,
    counted,
    listed,
    percent,
    plural,
    points,
    points_between,
    points_unit,
    to_percent,
)
from app.ui.titles import data_label, model_label

MOST_NAMED = 4


def unlike(frame: pd.DataFrame) -> list[str]:
    """Why accuracies cannot be compared, or only with care; nothing if they can."""
    cells = done(frame)
    told = []
    if cells["data"].nunique() > 1:
        names = listed(data_label(str(name)) for name in cells["data"].unique())
        return [f"The runs learned different data ({names}): their accuracies cannot be compared."]
    digests = cells[cells["digest"].fillna("") != ""].groupby("seed")["digest"].nunique()
    counts = cells["test_images"].dropna().unique()
    if len(digests) and digests.max() > 1:
        told.append(
            "Runs of the same seed saw different images, or split them differently: compare their "
            "accuracies with care."
        )
    elif len(counts) > 1:
        told.append(
            f"The runs were tested on {_from_to(counts)} images: compare accuracies with care."
        )
    if cells["model"].nunique() > 1:
        names = listed(model_label(str(name)) for name in cells["model"].unique())
        told.append(f"The networks differ ({names}): not every difference is the method's.")
    if cells["epochs"].nunique() > 1:
        told.append(
            f"The runs trained for {_from_to(cells['epochs'])} epochs: not every difference is the "
            "method's."
        )
    return told


def luck(frame: pd.DataFrame) -> str:
    """Which differences are noise."""
    cells = done(frame)
    noise = analysis.spread(cells)
    limit = noise.limit
    if not noise.seeded:
        told = "One seed" if cells["seed"].nunique() == 1 else "One seed per point"
        if not limit:
            return f"{told}: how much of this is luck is not known."
        return (
            f"{told}: how much another would move the points is not known. The test alone leaves "
            f"differences of up to about {_points(limit)} to chance."
        )
    seeds = cells.groupby(["series", "sparsity"])["seed"].nunique()
    told = f"{_from_to(seeds)} seeds: differences under about {_noise(cells, limit)} are noise"
    told += (
        ". Bars, and the grey band of the dense network, are 95\N{NO-BREAK SPACE}% intervals "
        "over the seeds"
    )
    if cells["series"].nunique() > 1:
        # What a seed does to all alike is in the bars, but not in the differences.
        told += ", which all methods share: their differences are surer than the bars look"
    if seeds.min() == 2:
        # Student's t and the root of the number: 9.0 of two, 2.5 of three standard deviations.
        told += ". Two seeds say little of the spread: from three, bars are a third as long"
    return f"{told}."


def leader(frame: pd.DataFrame, classes: int | None = None) -> str:
    """Who leads at the sparsest level that all have reached, and whether by more than noise."""
    names = analysis.originals(done(frame))
    if len(names) < 2 or done(frame)["data"].nunique() > 1 or not frame["epochs"].max():
        return ""
    broken = analysis.guessing(frame, classes)
    levels = analysis.common(frame, names)
    standing = [s for s in levels if not all(s in broken.get(name, []) for name in names)]
    if not levels:
        return "There is no sparsity at which all have a result, so none is said to lead."
    if not standing:
        return f"At {percent(levels[0])} and beyond, all are near guessing: nobody leads."
    found = analysis.level(frame, standing[-1], names)
    told = _lead(found, sparsest=standing[-1] == levels[-1])
    if len(names) > 2:
        told += f" Of {len(names)} compared, the best is partly the luckiest."
    return told


def breaks(frame: pd.DataFrame, classes: int | None = None) -> str:
    """Where each falls to near guessing; if none does, where the worst one is."""
    chance = analysis.guess(frame, classes)
    cells = done(frame)
    if chance is None or not frame["epochs"].max() or cells["data"].nunique() > 1:
        return ""
    broken = analysis.guessing(frame, classes)
    if not broken:
        last = float(cells["sparsity"].max())
        return f"None is near guessing ({percent(chance)}) up to {percent(last)}."
    last_of = cells.groupby("series")["sparsity"].max()
    told = [
        f"{series} {'at' if levels[0] == last_of[series] else 'from'} {percent(levels[0])}"
        + ("" if levels[0] == last_of[series] else " on")
        for series, levels in broken.items()
    ]
    return f"Near guessing ({percent(chance)}): {listed(told)}."


def controls(frame: pd.DataFrame, classes: int | None = None) -> list[str]:
    """Whether chance does as well as the methods' choices, a sentence per control and verdict."""
    groups: dict[tuple[str, str], list[Controlled]] = {}
    for one in analysis.controlled(frame, classes):
        groups.setdefault((one.control, one.verdict), []).append(one)
    return [_controlled(control, verdict, found) for (control, verdict), found in groups.items()]


def meaning(one: Controlled) -> str:
    """What the verdict on a control says about the mask: ``It made no difference which …``"""
    found = _meaning(one.control, one.verdict) if one.control in CONTROLS else ""
    return f"{found[:1].upper()}{found[1:]}." if found else ""


def _meaning(control: str, verdict: str) -> str:
    """Within a sentence."""
    row = CONTROLS.get(control)
    if verdict == "no different":
        return f"no sign that it mattered {row.chance}" if row else "no sign of a difference"
    if verdict == "worse":
        return f"there it mattered {row.chance}" if row else "there it made a difference"
    return ""


def doubted(frame: pd.DataFrame) -> str:
    """Whether there are rankings that cannot be trusted."""
    cells = done(frame)
    count = sum(trusted is False or trusted == 0 for trusted in cells["trusted"].dropna())
    if not count:
        return ""
    lines = cells[cells["trusted"].isin([False])]["series"].unique()
    return (
        f"In {counted(count, 'run')} ({listed(lines)}) the ranking hangs on rounding: the mask is "
        "partly noise."
    )


def axis(start: float) -> str:
    """Where the axis begins, if not at zero."""
    return f"The accuracy axis begins at {percent(round(start, 3))}, not at zero." if start else ""


def limits(frame: pd.DataFrame) -> str:
    """What the comparison does not show."""
    cells = done(frame)
    epochs = cells["epochs"].max()
    if not epochs:
        return "No network was trained: these accuracies say nothing about any method."
    short = f"{_from_to(cells['epochs'])} {plural(epochs, 'epoch')}"
    nets = "one network" if cells["model"].nunique() == 1 else "these networks"
    return f"{short}, {nets}, these images: longer training or others may change the order."


def _lead(found: Level, sparsest: bool) -> str:
    ranked = sorted(found.means.items(), key=lambda pair: -pair[1])
    best, high = ranked[0]
    near = [name for name, mean in ranked[1:] if high - mean <= found.noise.limit]
    where = "the sparsest level that all have" if sparsest else "the last at which any still works"
    told = f"At {percent(found.sparsity)}, {where}, {best} is highest with {accuracy(high)}"
    noise = f"{'noise' if found.noise.seeded else 'what the test leaves to chance'}"
    if near and not found.noise.seeded:
        are = plural(len(near), "is", "are")
        return (
            f"{told}, but {listed(near, MOST_NAMED)} {are} behind by no more than {noise} "
            f"({_points(found.noise.limit)})."
        )
    if near:
        lie = plural(len(near), "lies", "lie")
        return (
            f"{told}, but {listed(near, MOST_NAMED)} {lie} within noise of it "
            f"({_points(found.noise.limit)})."
        )
    second, low = ranked[1]
    ahead = points_between(low, high)
    return (
        f"{told}, {points(ahead)} ahead of {second}: more than {noise} "
        f"({_points(found.noise.limit)})."
    )


def _controlled(control: str, verdict: str, found: Sequence[Controlled]) -> str:
    names = listed(one.original for one in found)
    apart = [abs(one.difference) for one in found]
    lowest, highest = _points(min(apart)), _points(max(apart))
    much = lowest if lowest == highest else f"{lowest.partition(' ')[0]} to {highest}"
    limit = _points(max(one.limit for one in found))
    levels = {one.levels for one in found}
    over = f" in the mean over {_from_to(levels)} sparsities" if max(levels) > 1 else ""
    do = plural(len(found), "does", "do")
    row = CONTROLS.get(control)
    how = (row.how if row else "") or f'under the control "{row.label if row else control}"'
    began = f"{how[:1].upper()}{how[1:]}".replace("their", plural(len(found), "its", "their"))
    if verdict == "no different":
        end = _meaning(control, verdict)
        noise = f"up to {limit}" if found[1:] else limit
        return (
            f"{began}, {names} {do} as well{over}, as far as noise of {noise} lets one tell: {end}."
        )
    if verdict == "worse":
        end = _meaning(control, verdict)
        return f"{began}, {names} {do} worse by {much}{over} (noise: {limit}): {end}."
    return f"{began}, {names} {do} better by {much}{over} (noise: {limit})."


def _noise(cells: pd.DataFrame, limit: float) -> str:
    """``limit``, that of all; where luck of some sparsities is far from it, the least and the
    most of them: ``0.9 points at 80 % and 12.2 points at 99 %``."""
    of_level = analysis.spread_by_sparsity(cells)
    if len(of_level) < 2:
        return _points(limit)
    calm, wild = min(of_level, key=of_level.__getitem__), max(of_level, key=of_level.__getitem__)
    if of_level[wild] < 2 * of_level[calm]:
        return _points(limit)
    told = [f"{_points(of_level[one])} at {percent(one)}" for one in sorted((calm, wild))]
    return " and ".join(told)


def _points(share: float) -> str:
    # Two seeds may scatter so much that luck alone could explain more than there is.
    shown = min(round(to_percent(share), 1), 100.0)
    return f"{shown:.{0 if shown == 100 else 1}f} {points_unit(shown)}"


def _from_to(values: Iterable[float]) -> str:
    """``3``, or ``2 to 5``."""
    low, high = int(min(values)), int(max(values))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
