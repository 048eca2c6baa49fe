"""The sentences of a comparison: who leads, what is noise, what cannot be compared.

``frame`` is the table of the comparison, a row per run, failed and waiting ones included.
``classes`` is the number of classes, where it is known better than from the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from app.services import CONTROLS, METHODS, analysis
from app.services.analysis import Controlled, Level, Noise, done
from app.ui.format import (
    accuracy,
    counted,
    listed,
    percent,
    plural,
    points_between,
    points_unit,
    to_percent,
)
from app.ui.labels import BUDGETS
from app.ui.titles import data_label, model_label

MOST_NAMED = 4


def warnings(frame: pd.DataFrame) -> list[str]:
    """Why accuracies cannot be compared, or only with care; empty if they can."""
    cells = done(frame)
    if cells["data"].nunique() > 1:
        names = listed(data_label(str(name)) for name in cells["data"].unique())
        return [
            f"The runs use different data sets ({names}), so their accuracies cannot be compared."
        ]
    sentences = []
    digests = cells[cells["digest"].fillna("") != ""].groupby("seed")["digest"].nunique()
    counts = cells["test_images"].dropna().unique()
    if len(digests) and digests.max() > 1:
        sentences.append(
            "Runs with the same seed used different images or splits: compare accuracies with care."
        )
    elif len(counts) > 1:
        sentences.append(
            f"The runs were tested on {_from_to(counts)} images: compare accuracies with care."
        )
    confounded = "differences in accuracy are not only due to the criterion."
    if cells["model"].nunique() > 1:
        names = listed(model_label(str(name)) for name in cells["model"].unique())
        sentences.append(f"The networks differ ({names}): {confounded}")
    if cells["given"].nunique() > 1:
        tuned = listed(cells[cells["given"]]["series"].unique(), MOST_NAMED)
        sentences.append(
            f"Some runs start from given weights and were fine-tuned ({tuned}), the others from "
            f"new ones: {confounded}"
        )
    if several := shares(cells):
        sentences.append(several)
    if cells["epochs"].nunique() > 1:
        epochs = _from_to(cells["epochs"])
        sentences.append(f"The runs were trained for {epochs} epochs: {confounded}")
    return sentences


def shares(frame: pd.DataFrame) -> str:
    """That the percentages of the series do not count the same, where that is so."""
    budgets = analysis.budgets(done(frame))
    if not budgets[1:]:
        return ""
    what = listed(f"the {BUDGETS[name].lower()}" for name in budgets)
    return (
        f"Percentages are shares of {what}, so series with the same percentage may differ in size: "
        "compare them by weights kept or multiply-adds (Accuracy against)."
    )


def noise(frame: pd.DataFrame) -> str:
    """Which differences are noise."""
    cells = done(frame)
    spread = analysis.spread(cells)
    if not spread.seeded:
        several = cells["seed"].nunique() > 1
        start = "No two seeds are shared by all series" if several else "One seed"
        sentence = f"{start}, so the noise between seeds is unknown."
        if spread.limit:
            sentence += (
                f" The test set alone allows differences of up to about {_points(spread.limit)} by "
                "chance."
            )
        return sentence
    seeds = cells.groupby(["series", "sparsity"])["seed"].nunique()
    limits = _noise(cells, spread)
    depends = ", depending on the pair" if " to " in limits else ""
    sentences = [
        f"{_from_to(seeds)} seeds: differences below about {limits} may be noise{depends}.",
        *_at_once(cells),
        *_unknown(cells),
        "Bars and the grey band of the dense network are 95\N{NO-BREAK SPACE}% intervals over "
        "seeds.",
    ]
    if seeds.nunique() > 1:
        sentences.append(
            "The limits are of the seeds that all series share, the means in the chart of all."
        )
    elif cells["series"].nunique() > 1:
        # The effect of a seed on all series is in the bars, but not in the differences.
        sentences.append(
            "All series share these seeds, so differences between them are more certain than the "
            "bars suggest."
        )
    if seeds.min() == 2:
        # Student's t and the root of the number: 9.0 of two, 2.5 of three standard deviations.
        sentences.append("With three seeds instead of two, bars are about a third as long.")
    return " ".join(sentences)


def leader(frame: pd.DataFrame, classes: int | None = None) -> str:
    """Who leads at the highest sparsity that all have reached, and whether by more than noise."""
    names = analysis.originals(done(frame))
    if len(names) < 2 or done(frame)["data"].nunique() > 1 or not frame["epochs"].max():
        return ""
    if analysis.budgets(done(frame))[1:]:
        return ""  # they do not keep equally much at any sparsity: see ``warnings``
    broken = analysis.guessing(frame, classes)
    levels = analysis.common(frame, names)
    working = [s for s in levels if not all(s in broken.get(name, []) for name in names)]
    if not levels:
        return "No sparsity has results for every series, so none leads."
    if not working:
        return f"At {percent(levels[0])} and beyond, all are near guessing, so none leads."
    found = analysis.level(frame, working[-1], names)
    sentence = _lead(found, sparsest=working[-1] == levels[-1])
    if len(names) > 2 and not (found.leads and found.seeds > 1):
        sentence += f" The best of {len(names)} is often just the luckiest."
    return sentence


def near_guessing(frame: pd.DataFrame, classes: int | None = None) -> str:
    """Where each series falls to near guessing, if any does."""
    chance = analysis.guess(frame, classes)
    cells = done(frame)
    if chance is None or not cells["epochs"].max() > 0 or cells["data"].nunique() > 1:
        return ""
    broken = analysis.guessing(frame, classes)
    if not broken:
        last = float(cells["sparsity"].max())
        who = "All are" if cells["series"].nunique() > 1 else "It is"
        return f"{who} still well above guessing ({percent(chance)}) at {percent(last)}."
    last_of = cells.groupby("series")["sparsity"].max()
    places = [
        f"{series} {'at' if levels[0] == last_of[series] else 'from'} {percent(levels[0])}"
        + ("" if levels[0] == last_of[series] else " on")
        for series, levels in broken.items()
    ]
    return f"Near guessing ({percent(chance)}): {listed(places)}."


def controls(frame: pd.DataFrame, classes: int | None = None) -> list[str]:
    """Whether chance does as well as the criteria, a sentence per control and verdict."""
    groups: dict[tuple[str, str], list[Controlled]] = {}
    for one in analysis.controlled(frame, classes):
        groups.setdefault((one.control, one.verdict), []).append(one)
    return [_controlled(control, verdict, found) for (control, verdict), found in groups.items()]


def meaning(one: Controlled) -> str:
    """What the verdict on a control says about the mask, a sentence; "" if nothing."""
    found = _meaning(one.control, one.verdict, one.seeds) if one.control in CONTROLS else ""
    return f"{found[:1].upper()}{found[1:]}." if found else ""


def _meaning(control: str, verdict: str, seeds: int) -> str:
    """As part of a sentence. One seed proves nothing about others."""
    row = CONTROLS.get(control)
    found = ""
    if verdict == "no different":
        found = f"nothing shows that it mattered {row.chance}" if row else "nothing shows an effect"
    elif verdict == "worse" and seeds > 1:
        found = f"it did matter {row.chance}" if row else "there was an effect"
    elif verdict == "worse":
        found = f"it may have mattered {row.chance}" if row else "there may be an effect"
    if seeds > 1:
        return found
    return f"{found}, but this is one seed" if found else "this is one seed"


def doubtful(frame: pd.DataFrame) -> str:
    """Whether some rankings cannot be trusted; the reason, of which there are several, is on the
    page of the run."""
    cells = done(frame)
    count = sum(trusted is False or trusted == 0 for trusted in cells["trusted"].dropna())
    if not count:
        return ""
    names = cells[cells["trusted"].isin([False])]["series"].unique()
    return (
        f"In {counted(count, 'run')} ({listed(names)}) the ranking of the weights cannot be "
        f"trusted; {plural(count, 'its page says', 'their pages say')} why."
    )


def axis_start(start: float) -> str:
    """Where the accuracy axis starts, if not at zero."""
    return f"The accuracy axis starts at {percent(round(start, 3))}, not at zero." if start else ""


def caveats(frame: pd.DataFrame) -> str:
    """What the comparison does not show."""
    cells = done(frame)
    epochs = cells["epochs"].max()
    if not epochs:
        return "No network was trained: these accuracies say nothing about the criteria."
    start = "Given weights, fine-tuned" if cells["given"].all() else "Trained"
    sentence = (
        f"{start} for {_from_to(cells['epochs'])} {plural(epochs, 'epoch')}: longer training, "
        "other networks or other images may change the order."
    )
    sentence += trained_twice(cells)
    if cells["kind"].nunique() > 1:
        sentence += (
            " Weights that are removed become zeros, which still take time; channels that are "
            "removed do not."
        )
    return sentence


def trained_twice(cells: pd.DataFrame) -> str:
    """That some criteria train twice as long as others; "" if none does, or all do."""
    twice = cells["method"].map(lambda name: name in METHODS and METHODS[name].after_training)
    if not twice.any() or twice.all():
        return ""
    names = listed(cells[twice]["series"].unique())
    return (
        f" {names} is a reference, not a rival: its networks are trained in full, pruned, and "
        "trained again, twice the training of the others."
    )


def _lead(found: Level, sparsest: bool) -> str:
    if not found.seeds:
        return f"At {percent(found.sparsity)} the series share no seed, so none leads."
    ranked = sorted(found.means.items(), key=lambda pair: -pair[1])
    best, high = ranked[0]
    where = (
        "the highest sparsity that all reached"
        if sparsest
        else "the highest at which any still works"
    )
    start = f"At {percent(found.sparsity)}, {where}, {best} is best with {accuracy(high)}"
    if found.seeds == 1:
        start = f"From one seed: {start[0].lower()}{start[1:]}"
    source = "the noise" if found.seeds > 1 else "the noise of the test set"
    if found.leads:
        second, low = ranked[1]
        # The limit of a pair is its own: a noisy one among the others says nothing of these.
        ahead, limit = _side_by_side(
            points_between(low, high), high - low, found.lead_limits[second]
        )
        sentence = f"{start}, {ahead} ahead of {second}: more than {source} ({limit})."
    else:
        near = [name for name, mean in ranked[1:] if high - mean <= found.limits[name]]
        limit = _points(max(found.limits[name] for name in near))
        are = plural(len(near), "is", "are")
        sentence = f"{start}, but {listed(near, MOST_NAMED)} {are} within {source} ({limit})."
    if found.seeds == 1:
        sentence += " Another seed may give another order."
    return sentence


def _controlled(control: str, verdict: str, found: Sequence[Controlled]) -> str:
    names = listed(one.original for one in found)
    much = _points_from_to([abs(one.difference) for one in found])
    limits = [one.limit for one in found]
    levels = {one.levels for one in found}
    over = f" on average over {_from_to(levels)} sparsities" if max(levels) > 1 else ""
    row = CONTROLS.get(control)
    how = (row.how if row else "") or f'under the control "{row.label if row else control}"'
    start = f"{how[:1].upper()}{how[1:]}".replace("their", plural(len(found), "its", "their"))
    end = _meaning(control, verdict, min(one.seeds for one in found))
    if verdict == "no different":
        are = plural(len(found), "is", "are")
        limit = f"{'up to ' if found[1:] else ''}{_points(max(limits))}"
        return f"{start}, {names} {are} within the noise{over} ({limit}); {end}."
    are = plural(len(found), "is", "are")
    sentence = f"{start}, {names} {are} {much} {verdict}{over} (noise: {_points_from_to(limits)})"
    if len(found) == 1:
        (one,) = found
        size = abs(one.difference)
        much, limit = _side_by_side(round(to_percent(size), 1), size, one.limit)
        sentence = f"{start}, {names} {are} {much} {verdict}{over} (noise: {limit})"
    return f"{sentence}; {end}." if end else f"{sentence}."


def _side_by_side(shown: float, difference: float, limit: float) -> tuple[str, str]:
    """A difference (``shown`` in points) and its smaller limit, with enough digits to show that it
    is smaller."""
    pair = shown, round(min(to_percent(limit), 100.0), 1)
    digits = 1
    while pair[0] <= pair[1] and digits < 4:
        digits += 1
        pair = round(to_percent(difference), digits), round(to_percent(limit), digits)
    first, second = (f"{number:.{digits}f} {points_unit(number)}" for number in pair)
    return first, second


def _points_from_to(fractions: Sequence[float]) -> str:
    """``0.4 to 0.9 points``; one figure if both are shown alike."""
    lowest, highest = _points(min(fractions)), _points(max(fractions))
    return lowest if lowest == highest else f"{lowest.partition(' ')[0]} to {highest}"


def _noise(cells: pd.DataFrame, spread: Noise) -> str:
    """``spread``, that of all; where it varies a lot between sparsities, the least and the most:
    ``0.9 points at 80 % and 12.2 points at 99 %``."""
    of_level = analysis.spread_by_sparsity(cells)
    ordered = sorted(of_level, key=lambda sparsity: of_level[sparsity].limit)
    if len(ordered) < 2 or of_level[ordered[-1]].limit < 2 * of_level[ordered[0]].limit:
        return _points_from_to((spread.least, spread.limit))
    ends = sorted((ordered[0], ordered[-1]))
    return " and ".join(
        f"{_points_from_to((of_level[s].least, of_level[s].limit))} at {percent(s)}" for s in ends
    )


def _at_once(cells: pd.DataFrame) -> list[str]:
    """What the limits of a pair are limits of, where there are several pairs."""
    if cells["series"].nunique() <= 2:
        return []
    return [
        "These limits are for all pairs at once; to say only that the best one leads, a smaller "
        "difference is enough."
    ]


def _unknown(cells: pd.DataFrame) -> list[str]:
    """Where no two seeds are shared."""
    missing = sorted({*cells["sparsity"]} - {*analysis.spread_by_sparsity(cells)})
    if not missing:
        return []
    return [f"At {listed(map(percent, missing))} no two seeds are shared: the noise is unknown."]


def _points(share: float) -> str:
    # Two seeds may scatter so much that noise alone could explain more than there is.
    shown = min(round(to_percent(share), 1), 100.0)
    return f"{shown:.{0 if shown == 100 else 1}f} {points_unit(shown)}"


def _from_to(values: Iterable[float]) -> str:
    """``3``, or ``2 to 5``."""
    low, high = int(min(values)), int(max(values))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
