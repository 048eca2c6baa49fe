"""What the details of a comparison show, and what they do not: layers, masks, classes, curves.

Each takes the table of its chart (``charts.compare_layers.table`` and so on) and gives sentences.
"""

from __future__ import annotations

import pandas as pd

from app.charts.rows import records
from app.ui.format import counted, listed, percent

RISING = 0.01
"""A curve that rose by more in its last epoch is not at its end."""
MOST_NAMED = 4


def layers(rows: pd.DataFrame) -> list[str]:
    """Under the shades of ``compare_layers``."""
    if rows.empty:
        return ["No layers to show."]
    told = [
        f"Numbers are percent of a layer's weights that are kept{_mean_of(rows['runs'].max())}; "
        "shades go by factors."
    ]
    lost = records(rows[rows["empty"] > 0])
    if not lost:
        return [*told, "No layer lost all its weights."]
    for series in dict.fromkeys(row["column"] for row in lost):
        own = [row for row in lost if row["column"] == series]
        names = listed((_where(row) for row in own), MOST_NAMED)
        told.append(f"✕ {series} keeps no weight of {names}.")
    told.append("What lies behind an empty layer is cut off, unless a shortcut leads around it.")
    return told


def overlap(rows: pd.DataFrame) -> list[str]:
    """Under the square of ``compare_overlap``."""
    known = rows.dropna(subset=["jaccard"]).drop_duplicates("pair")
    if known.empty:
        return [
            "No two of these masks can be compared: that needs the same network and the same seed."
        ]
    told = [
        "Of the weights that either of two masks keeps, the percentage that both keep: to the "
        "right of the diagonal as it is, to the left as chance would make it with as many weights "
        "in each layer."
    ]
    ranked = known.sort_values("jaccard")
    most = ranked.iloc[-1]
    told.append(
        f"Most alike: {most['pair']} ({most['measured']} in common, {most['chance']} by chance)."
    )
    chance = known[known["jaccard"] <= 1.1 * known["luck"]]
    if len(chance) == len(known) > 1:
        told.append("No pair has clearly more in common than chance would give.")
    elif len(chance):
        pairs = (
            listed(chance["pair"])
            if len(chance) <= MOST_NAMED
            else f"{len(chance):,} of {len(known):,} pairs"
        )
        told.append(f"No more in common than by chance, or hardly: {pairs}.")
    told.append(
        "Only runs of the same seed are compared, which start from the same weights. Masks can "
        "differ and do equally well."
    )
    return told


def overlap_layers(rows: pd.DataFrame, first: str, second: str) -> list[str]:
    """Under the bars of two series of ``compare_overlap.layers_table``."""
    known = rows.dropna(subset=["jaccard"])
    if known.empty:
        return [f"The masks of {first} and {second} cannot be compared."]
    below = int((known["jaccard"] <= 1.1 * known["luck"]).sum())
    told = f"{first} and {second}, layer by layer; the line across a bar is what chance would give."
    if not below:
        return [told, "In every layer they have more in common than that."]
    return [told, f"In {below} of {len(known)} layers they have no more in common, or hardly."]


def classes(rows: pd.DataFrame, left_out: int = 0) -> list[str]:
    """Under the shades of ``compare_classes``, which left out as many classes."""
    if rows.empty:
        return ["These results hold no counts by class; runs of this version do."]
    images = int(rows["images"].min())
    told = [
        "Numbers are points of accuracy in the class, pruned less dense"
        f"{_mean_of(rows['runs'].max())}; the class that loses most is on top."
    ]
    if left_out:
        shown = rows["row"].nunique()
        told.append(
            f"Of {shown + left_out} classes, the {shown // 2} that lose most and the "
            f"{shown - shown // 2} that gain most or lose least are shown; among so many, some "
            "stand out by luck alone."
        )
    told.append(
        f"With {counted(images, 'test image')} of a class, one image is "
        f"{100 / images:.1f} points: small changes are luck."
    )
    return told


def curves(rows: pd.DataFrame) -> list[str]:
    """Under the lines of ``compare_curves``."""
    if rows.empty:
        return ["None of these was trained."]
    told = [
        "Validation images, which nothing learns from; the accuracy above is that of the test "
        "images."
    ]
    rising = []
    for series, group in rows.groupby("series", sort=False):
        last = list(group["accuracy"])[-2:]
        if len(last) == 2 and last[1] - last[0] > RISING:
            rising.append(str(series))
    if rising:
        told.append(
            f"Still rising by more than {percent(RISING)} per epoch at the end: "
            f"{listed(rising, MOST_NAMED)}. Longer training may change the order."
        )
    return told


def search(rows: pd.DataFrame) -> list[str]:
    """Under the trail of ``compare_search``."""
    if len(rows) < 2:
        return ["Nothing was tried yet."]
    told = [
        "Numbers are the order of the tries: sparser after a goal met, less sparse after a goal "
        "missed. Between two tries nothing was looked at."
    ]
    errors = rows.loc[rows["error"] != "", "error"].unique()
    return [*told, *(f"A try failed: {error}" for error in errors)]


def _where(row: dict[str, object]) -> str:
    of = f" in {row['empty']} of {row['runs']} runs" if row["runs"] != row["empty"] else ""
    return f"{row['row']}{of}"


def _mean_of(runs: int) -> str:
    return f", in the mean over {runs} runs" if runs > 1 else ""
