"""The mask of a layer: a map of its channels, and the kernels of a block of them.

Weights are read as (output channels, input channels, rows, columns of the kernel), whatever the
number of their axes: a linear layer has kernels of one weight, a three-dimensional convolution
kernels whose planes stand under one another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from app.charts import picture
from app.ui.format import percent, scientific
from prospr_engine.report.charts.colours import Colours

CELLS = 32  # along a side of the map: more would be slow and too small to click
PIXELS = 512  # along a side of the picture under them
BLOCK = 48  # weights along a side of a block, if that makes no more than CELLS blocks
SINGLE = 64 * 64  # weights of a block up to which each weight has its own tooltip

AXES = ("Output channel", "Input channel")
CHANNEL_TIPS = {"out": "Output channels", "in": "Input channels", "weights": "Weights kept"}
WEIGHT_TIPS = {
    "out": "Output channel",
    "in": "Input channel",
    "place": "Row, column in the kernel",
    "weights": "Weight",
    "score": "Score",
}

Mask = NDArray[np.bool_]
Block = tuple[int, int, int, int]
"""Start and end (exclusive) of the output channels, then of the input channels."""


def four(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """The shape as output channels, input channels, rows and columns of the kernel."""
    out, into, *sides = (*shape, 1, 1)[: max(2, len(shape))]
    return out, into, math.prod(sides[:-1]), sides[-1] if sides else 1


def kernel(shape: Sequence[int]) -> str:
    """``3 × 3``; empty for a layer whose kernels are single weights."""
    return " × ".join(map(str, shape[2:])) if math.prod(shape[2:]) > 1 else ""


def blocks(shape: Sequence[int]) -> tuple[list[range], list[range]]:
    """The blocks that the kernels are shown in, of output channels and of input channels."""
    out, into, rows, columns = four(shape)
    return _parts(out, rows), _parts(into, columns)


def fullest(mask: Mask) -> tuple[int, int]:
    """The indices of the block that keeps most weights."""
    out, into, *_ = four(mask.shape)
    kept = np.count_nonzero(mask.reshape(out, into, -1), axis=2)
    starts = [[part.start for part in parts] for parts in blocks(mask.shape)]
    sums = np.add.reduceat(np.add.reduceat(kept, starts[0], 0), starts[1], 1)
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    return int(row), int(column)


def map_rows(mask: Mask, chosen: Block | None, colours: Colours) -> tuple[pd.DataFrame, float]:
    """Rows for ``picture.chart``, shaded by the share of each kernel that is kept, and the share
    with the strongest shade. The ``chosen`` block has a frame."""
    out, into, rows, columns = four(mask.shape)
    kept = np.count_nonzero(mask.reshape(out, into, -1), axis=2)
    pixels = _cuts(out, PIXELS), _cuts(into, PIXELS)
    share = _sums(kept, *pixels) / _areas(*pixels, rows * columns)
    most = float(share.max())
    shades = np.where(share > 0, 1 + np.round(254 * share / (most or 1)), 0).astype(np.uint8)
    url = picture.png(shades, picture.ramp(colours.ground, colours.least, colours.most))
    parts = [picture.over(url, 0, out, 0, into), _channels(kept, 0, 0, rows * columns)]
    if chosen:
        parts.append(picture.frame(*chosen))
    return pd.concat(parts), most


def block_rows(
    mask: Mask, scores: NDArray[Any], block: Block, colours: Colours
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows for ``picture.chart`` with every weight of a block, kernels side by side, and the
    tooltips. The axes number the channels of the layer."""
    top, bottom, left, right = block
    shape = four(mask.shape)
    part = mask.reshape(shape)[top:bottom, left:right]
    url = picture.png(*_mosaic(part, colours), clear=True)
    shown = picture.over(url, *block)
    if part.size > SINGLE:
        kept = np.count_nonzero(part, axis=(2, 3))
        return pd.concat([shown, _channels(kept, top, left, part[0, 0].size)]), CHANNEL_TIPS
    o, i, r, c = (index.ravel() for index in np.indices(part.shape))
    rows, columns = part.shape[2:]
    cells = pd.DataFrame(
        {
            "kind": picture.CELL,
            "top": top + o + r / rows,
            "bottom": top + o + (r + 1) / rows,
            "left": left + i + c / columns,
            "right": left + i + (c + 1) / columns,
            "out": top + o,
            "in": left + i,
            "place": [f"{row}, {column}" for row, column in zip(r, c, strict=True)],
            "weights": np.where(part.ravel(), "kept", "removed"),
            "score": [
                scientific(float(score))
                for score in scores.reshape(shape)[top:bottom, left:right].ravel()
            ],
        }
    )
    return pd.concat([shown, cells]), WEIGHT_TIPS


def description(mask: Mask) -> str:
    """How much of the layer is kept, and how many channels are empty."""
    out, into, _, _ = four(mask.shape)
    kept = int(np.count_nonzero(mask))
    if kept == mask.size:
        return f"All {mask.size:,} weights of this layer are kept."
    if not kept:
        return f"None of the {mask.size:,} weights of this layer is kept."
    channels = np.any(mask.reshape(out, into, -1), axis=2)
    silent, unused = (int((~np.any(channels, axis=axis)).sum()) for axis in (1, 0))
    text = f"{_kept(kept, mask.size)}."
    if not silent and not unused:
        return f"{text} Every channel keeps at least one weight."
    return (
        f"{text} {silent:,} of {out:,} output channels and {unused:,} of {into:,} input channels "
        "have none."
    )


def block_description(mask: Mask, block: Block) -> str:
    """How much of a block is kept, and how many of its kernels are empty."""
    top, bottom, left, right = block
    part = mask.reshape(four(mask.shape))[top:bottom, left:right]
    kept = int(np.count_nonzero(part))
    where = f"Output channels {span(top, bottom)}, input channels {span(left, right)}"
    text = f"{where}: {_kept(kept, part.size)}."
    empty = int((~np.any(part, axis=(2, 3))).sum())
    if empty and kernel(mask.shape):
        text += f" {empty:,} of {part.shape[0] * part.shape[1]:,} kernels are empty."
    return text


def span(start: int, end: int) -> str:
    """``0–15``; a single channel has no dash."""
    return f"{start}–{end - 1}" if end - start > 1 else str(start)


def _mosaic(part: Mask, colours: Colours) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pixels and palette of kernels with gaps between them."""
    out, into, rows, columns = part.shape
    size = min(12, max(1, 480 // max(out * rows, into * columns)))
    gap = 0 if size < 3 else 1 if rows * columns == 1 else 3
    tiles = np.zeros((out, into, rows * size + gap, columns * size + gap), np.uint8)
    tiles[:, :, : rows * size, : columns * size] = 1 + part.repeat(size, 2).repeat(size, 3)
    pixels = tiles.transpose(0, 2, 1, 3).reshape(out * tiles.shape[2], into * tiles.shape[3])
    return pixels, picture.palette(colours.ink, colours.ground, colours.kept)


def _channels(kept: NDArray[np.intp], top: int, left: int, weights: int) -> pd.DataFrame:
    """Cells for ``kept`` counts by output and input channel, of ``weights`` weights each."""
    rows, columns = (_cuts(side, CELLS) for side in kept.shape)
    r, c = (index.ravel() for index in np.indices((len(rows) - 1, len(columns) - 1)))
    cells = pd.DataFrame(
        {
            "kind": picture.CELL,
            "top": top + rows[r],
            "bottom": top + rows[r + 1],
            "left": left + columns[c],
            "right": left + columns[c + 1],
        }
    )
    cells["out"] = [span(*ends) for ends in zip(cells["top"], cells["bottom"], strict=True)]
    cells["in"] = [span(*ends) for ends in zip(cells["left"], cells["right"], strict=True)]
    counts = _sums(kept, rows, columns).ravel().tolist()
    areas = _areas(rows, columns, weights).ravel().tolist()
    cells["weights"] = [_kept(*pair) for pair in zip(counts, areas, strict=True)]
    return cells


def _parts(channels: int, weights: int) -> list[range]:
    step = max(-(-channels // CELLS), BLOCK // weights, 1)
    return [range(start, min(start + step, channels)) for start in range(0, channels, step)]


def _cuts(side: int, most: int) -> NDArray[np.intp]:
    """The boundaries of at most ``most`` parts of ``side`` channels, nearly equal in size."""
    return np.linspace(0, side, min(side, most) + 1).round().astype(np.intp)


def _sums(values: NDArray[Any], rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[Any]:
    return np.add.reduceat(np.add.reduceat(values, rows[:-1], 0), columns[:-1], 1)


def _areas(rows: NDArray[np.intp], columns: NDArray[np.intp], weights: int) -> NDArray[np.intp]:
    return np.diff(rows)[:, None] * np.diff(columns) * weights


def _kept(kept: int, total: int) -> str:
    return f"{kept:,} of {total:,} weights kept ({percent(kept / total)})"
