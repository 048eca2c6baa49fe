"""Places of nonzero values as the gaps between them, each a number of a few bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from prospr_engine.export.encodings.compact_size import MOST_BITS

Values = NDArray[Any]


def coded_counts(places: Values) -> tuple[int, ...]:
    """How many values are stored for nonzero ones at ``places`` (ascending), if the gaps between
    them are numbers of 1, 2, … ``MOST_BITS`` bits: a gap that is too long for them becomes
    several, with zeros as the values on its way."""
    return _counts(_before(places))


def gap_coded(places: Values, value_bytes: int) -> tuple[Values, Values, int]:
    """The gaps before ``places`` (ascending) as numbers of as many bits as take the least space
    with a value of ``value_bytes`` for each; where each place is among them; and the number of
    bits."""
    before = _before(places)
    counts = _counts(before)
    width = min(range(1, MOST_BITS + 1), key=lambda w: counts[w - 1] * (value_bytes + w / 8))
    longest = 2**width - 1
    fillers = before // longest
    at = np.cumsum(fillers + 1) - 1
    coded = np.full(len(places) + int(fillers.sum()), longest)
    coded[at] = np.diff(places, prepend=0) - fillers * longest
    return coded, at, width


def _before(places: Values) -> Values:
    """The length of each gap, less the 1 that a number of any width can tell."""
    return np.maximum(np.diff(places, prepend=0), 1) - 1


def _counts(before: Values) -> tuple[int, ...]:
    often = np.bincount(before)
    gaps = np.flatnonzero(often)
    often = often[gaps]
    return tuple(
        len(before) + int((often * (gaps // (2**width - 1))).sum())
        for width in range(1, MOST_BITS + 1)
    )
