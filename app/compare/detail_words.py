"""Captions of the details of a comparison: layers, masks, classes, curves, searches.

Each function takes the table of its chart (``layers_chart.table`` and so on).
"""

from __future__ import annotations

import pandas as pd

from app.charts.rows import records
from app.ui.format import counted, listed, percent

RISING = 0.01
"""A curve that rose by more in its last epoch has not converged."""
MOST_NAMED = 4


def layers(rows: pd.DataFrame) -> list[str]:
    """Caption of ``layers_chart``."""
    if rows.empty:
        return ["No layers to show."]
    sentences = [
        f"Percent of each layer's weights kept{_mean_of(rows['runs'].max())}. The colour scale is "
        "logarithmic."
    ]
    lost = records(rows[rows["empty"] > 0])
    if not lost:
        return [*sentences, "Every layer keeps at least one weight."]
    for series in dict.fromkeys(row["column"] for row in lost):
        own = [row for row in lost if row["column"] == series]
        names = listed((_where(row) for row in own), MOST_NAMED)
        sentences.append(f"✕ {series} keeps no weight of {names}.")
    sentences.append("An empty layer blocks the signal unless a shortcut bypasses it.")
    return sentences


def overlap(rows: pd.DataFrame) -> list[str]:
    """Caption of ``overlap_chart``."""
    known = rows.dropna(subset=["jaccard"]).drop_duplicates("pair")
    if known.empty:
        return [
            "No two of these masks can be compared: only runs with the same network and seed can."
        ]
    sentences = [
        "Weights kept by both masks, in percent of those kept by either. Above the diagonal: "
        "measured. Below: by chance, with as many weights in each layer."
    ]
    ranked = known.sort_values("jaccard")
    most = ranked.iloc[-1]
    sentences.append(
        f"Most similar: {most['pair']} ({most['measured']}; by chance {most['chance']})."
    )
    chance = known[known["jaccard"] <= 1.1 * known["by_chance"]]
    if len(chance) == len(known) > 1:
        sentences.append("No pair overlaps clearly more than by chance.")
    elif len(chance):
        pairs = (
            listed(chance["pair"])
            if len(chance) <= MOST_NAMED
            else f"{len(chance):,} of {len(known):,} pairs"
        )
        sentences.append(f"Little or no more overlap than by chance: {pairs}.")
    sentences.append(
        "Only runs with the same seed are compared, as they start from the same weights. Different "
        "masks can work equally well."
    )
    return sentences


def overlap_layers(rows: pd.DataFrame, first: str, second: str) -> list[str]:
    """Caption of ``overlap_chart.layers_chart``, of two series."""
    known = rows.dropna(subset=["jaccard"])
    if known.empty:
        return [f"The masks of {first} and {second} cannot be compared."]
    below = int((known["jaccard"] <= 1.1 * known["by_chance"]).sum())
    legend = f"{first} and {second}. The line across a bar is the overlap by chance."
    if not below:
        return [legend, "Every layer overlaps more than that."]
    return [legend, f"In {below} of {len(known)} layers the overlap is hardly more than that."]


def classes(rows: pd.DataFrame, left_out: int = 0) -> list[str]:
    """Caption of ``classes_chart``; ``left_out`` is the number of classes not shown."""
    if rows.empty:
        return ["These results have no counts by class; runs of this version do."]
    images = int(rows["images"].min())
    minus = "\N{MINUS SIGN}"
    sentences = [
        f"Accuracy in the class, pruned {minus} dense, in points{_mean_of(rows['runs'].max())}; "
        "most affected class first."
    ]
    if left_out:
        shown = rows["row"].nunique()
        sentences.append(
            f"Of {shown + left_out} classes, only the {shown // 2} that lose most and the "
            f"{shown - shown // 2} that gain most or lose least are shown; among so many, some "
            "stand out by chance."
        )
    sentences.append(
        f"With {counted(images, 'test image')} per class, one image is {100 / images:.1f} points: "
        "small changes are noise."
    )
    return sentences


def curves(rows: pd.DataFrame) -> list[str]:
    """Caption of ``curves_chart``."""
    if rows.empty:
        return ["None of these networks was trained."]
    sentences = [
        "Measured on validation images, which are not used for training. The accuracies above are "
        "of test images."
    ]
    rising = []
    for series, group in rows.groupby("series", sort=False):
        last = list(group["accuracy"])[-2:]
        if len(last) == 2 and last[1] - last[0] > RISING:
            rising.append(str(series))
    if rising:
        sentences.append(
            f"Still rising by more than {percent(RISING)} per epoch at the end: "
            f"{listed(rising, MOST_NAMED)}. Longer training may change the order."
        )
    return sentences


def search(rows: pd.DataFrame) -> list[str]:
    """Caption of ``search_chart``."""
    if len(rows) < 2:
        return ["Nothing has been tried yet."]
    sentences = ["Numbered in the order tried. Sparsities between tries were not tested."]
    errors = rows.loc[rows["error"] != "", "error"].unique()
    return [*sentences, *(f"A try failed: {error}" for error in errors)]


def _where(row: dict[str, object]) -> str:
    of = f" in {row['empty']} of {row['runs']} runs" if row["runs"] != row["empty"] else ""
    return f"{row['row']}{of}"


def _mean_of(runs: int) -> str:
    return f", mean over {runs} runs" if runs > 1 else ""
