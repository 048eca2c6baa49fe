"""What the page "Learn" says. Numbers come from the run in ``learn.json``, never from here: where
a sentence compares, the comparison is made when the page is drawn."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from app.charts.rows import records
from app.services import analysis
from app.ui.format import accuracy, listed, percent

FILE = Path(__file__).with_name("learn.json")
Facts = Mapping[str, Any]

DENSE = "dense"
LABELS = {"random": "Random", "magnitude": "Magnitude", "snip": "SNIP", "prospr": "ProsPr"}
MEANINGS = {
    "random": "picks at random. A criterion that cannot beat chance is useless.",
    "magnitude": "keeps the largest weights.",
    "snip": "asks how much the loss would change now, before any training, without the weight.",
    "prospr": "asks how much the loss would change *after some steps of training* if the weight "
    "had never been there.",
}
PAPER = "https://arxiv.org/abs/2202.08132"

LARGE = """\
A network learns by adjusting its weights, and it is given far more of them than the task needs.
The one on this page has {weights:,} of them to distinguish ten handwritten digits. **Pruning**
removes most of them. Usually that is done to a network that was trained; here it is done
**before**: choose which weights stay, set the others to zero, and train only what is left.
"""

CHOOSE = """\
Everything depends on which weights stay. A **criterion** gives each of them a score, and those
with the highest scores in the whole network are kept: here {kept:,} of {weights:,}, so
{removed} are gone.
"""

AHEAD = """\
Magnitude and SNIP judge the network as it is now. But nobody uses it as it is now: it will be
trained, and training moves every weight. **ProsPr looks ahead.** It
does four things:

1. trains a copy of the network for a few steps, here {steps};
2. looks at the loss *after* these steps;
3. goes back through the steps and finds how that loss depends on every weight *at the start*: the
   **meta-gradient**;
4. forgets the copy and keeps the weights on which the loss depended most. Training begins with
   these, at their first values.
"""

# Display formulas: the marks stand alone on their lines, or only the first line would be read.
FORMULA = r"""
Let $w$ be the weights at the start and $c$ a mask of ones over them. From $\theta^0 = c \odot w$,
the $M$ steps of training with learning rate $\alpha$ are

$$
\theta^{i+1} = \theta^i - \alpha \, \nabla L(\theta^i), \qquad i = 0, \dots, M - 1,
$$

and the score of each weight is

$$
s = \left| \frac{\partial L(\theta^M)}{\partial c} \right| =
\left| w \odot \frac{\partial L(\theta^M)}{\partial \theta^0} \right|.
$$

The gradient goes back through all steps, second derivatives included. With $M = 0$ there is no
look-ahead, and this is SNIP.
"""

TURN = """\
This was one small network on small images; yours may differ. All four criteria, and
more, are in the list under *Criterion*. Prune your own, and compare it with chance: a *sweep* does
that for several criteria, sparsities and seeds at once.
"""


@functools.cache
def facts() -> Facts:
    """The run from which everything on the page is drawn."""
    read: Facts = json.loads(FILE.read_text("utf-8"))
    return read


def accuracies(facts: Facts) -> pd.DataFrame:
    """The means over the seeds of every criterion and of the dense network at every sparsity, see
    ``analysis.by_seed``."""
    pruned = {method: facts["accuracy"]["pruned"][method] for method in LABELS}
    dense = dict.fromkeys(pruned["prospr"], facts["accuracy"]["dense"])
    return analysis.by_seed({**pruned, DENSE: dense})


def source(facts: Facts, model: str, data: str) -> str:
    """Which run this is and how to make it again."""
    setting, made = facts["setting"], facts["environment"]
    return (
        f"Every number and picture here is from one command, `{facts['command']}`: {model} on "
        f"{data}, {setting['calibration_images']} calibration images, {setting['epochs']} epochs, "
        f"seed 0 for the pictures and {setting['seeds']} seeds for the accuracies, on "
        f"{setting['test_images']} test images (version {made['prospr_engine']}, "
        f"PyTorch {made['torch']}, {made['device_name']})."
    )


def layers(facts: Facts) -> str:
    """What became of the layer that was hit worst."""
    total = facts["setting"]["layers"]
    method, layer = min(
        ((m, i) for m in LABELS for i in range(len(total))),
        key=lambda place: facts["layers"][place[0]][place[1]] / total[place[1]],
    )
    kept = facts["layers"][method][layer]
    return (
        f"{LABELS[method]} leaves {kept:,} of the {total[layer]:,} weights of layer {layer + 1}: "
        "everything has to pass through these. A network with an empty layer can learn nothing."
    )


def pixels(facts: Facts) -> str:
    """Which criteria found where the strokes are: a table."""
    bright = _flat(facts["pixels"]["brightness"])
    rows = []
    for method, label in LABELS.items():
        share = _flat(facts["pixels"]["kept"][method])
        inked = analysis.mean_between(share, bright, 0.5, math.inf)
        empty = analysis.mean_between(share, bright, 0.0, 0.05)
        rows.append(f"| {label} | {percent(round(inked, 3))} | {percent(round(empty, 3))} |")
    head = ["| Weights kept | pixels bright in most digits | pixels almost always dark |"]
    return "\n".join([*head, "|:--|--:|--:|", *rows])


def look_ahead(facts: Facts) -> str:
    """What the steps change."""
    ahead, setting = facts["look_ahead"], facts["setting"]
    losses = ahead["losses"]
    return (
        f"In {setting['steps']} steps the loss falls from {losses[0]:.2f} to {losses[-1]:.2f}. Of "
        f"the {setting['kept']:,} weights kept, {ahead['joins']:,} would not have been kept "
        "without looking ahead."
    )


def helps(facts: Facts) -> str:
    """How the criteria compare at the sparsity of the pictures, and whether seeds allow to
    call one of the best two better."""
    at = f"{facts['setting']['sparsity']:g}"
    found = {method: facts["accuracy"]["pruned"][method][at] for method in LABELS}
    table = accuracies(facts)
    means = table[table["sparsity"] == float(at)].set_index("name")["mean"]
    ranked = list(means.drop(DENSE).sort_values(ascending=False, kind="stable").index)
    results = ", ".join(f"{LABELS[m]} {accuracy(means[m])}" for m in ranked)
    first, second = ranked[:2]
    verdict = (
        f"{LABELS[first]} leads {LABELS[second]} by more than the noise between seeds."
        if analysis.ahead(found[first], found[second])
        else f"Between {LABELS[first]} and {LABELS[second]} the difference is within the noise "
        "between seeds: this task does not separate them."
    )
    return (
        f"With {percent(float(at))} removed, on average over {facts['setting']['seeds']} seeds: "
        f"{results}; dense {accuracy(means[DENSE])}. {verdict}"
    )


def best(facts: Facts) -> str:
    """Who is ahead at every sparsity, whoever it is."""
    table = accuracies(facts)
    pruned = table[table["name"] != DENSE]
    winners: dict[str, list[str]] = {}
    for row in records(pruned.loc[pruned.groupby("sparsity")["mean"].idxmax()]):
        winners.setdefault(row["name"], []).append(percent(row["sparsity"]))
    wins = "; ".join(f"{LABELS[m]} at {listed(places)}" for m, places in winners.items())
    return f"The highest average at each sparsity, often just the luckiest: {wins}."


def _flat(rows: list[list[float]]) -> list[float]:
    return [value for row in rows for value in row]
