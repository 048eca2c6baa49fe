"""How many weights a sparsity keeps: the count that masks and rankings share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from numbers import Real

from prospr_engine.config import check_sparsity
from prospr_engine.errors import ConfigError


def kept_count(total: int, sparsity: float) -> int:
    """``ceil(total · (1 − sparsity))`` with the sparsity read in decimal, as it is written, so
    that 95 % of 1,000 leaves 50 and not, by the rounding of 1 − 0.95, 51."""
    return math.ceil(total * (1 - Fraction(repr(check_sparsity(sparsity)))))


def budget(sizes: Sequence[int], sparsity: float, layer_floor: int = 0) -> tuple[list[int], int]:
    """The weights set aside in each layer of ``sizes``, and how many more may be kept of all.

    ``layer_floor`` weights of every layer (all, in a smaller one) are set aside. Raises
    ``ConfigError`` if they alone exceed what the sparsity leaves.
    """
    whole = isinstance(layer_floor, Real) and math.isfinite(layer_floor)
    if not whole or layer_floor < 0 or layer_floor != int(layer_floor):
        raise ConfigError(f"The floor per layer is {layer_floor!r}; give a whole number from 0 up.")
    count = kept_count(sum(sizes), sparsity)
    reserved = [min(int(layer_floor), size) for size in sizes]
    if sum(reserved) > count:
        raise ConfigError(
            f"A floor of {layer_floor} weights in each of {len(sizes)} layers needs "
            f"{sum(reserved):,} weights, but a sparsity of {sparsity:g} keeps only {count:,}; "
            "lower one of them."
        )
    return reserved, count - sum(reserved)
