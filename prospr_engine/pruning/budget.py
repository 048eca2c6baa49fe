"""How many weights a sparsity keeps: the counts that masks and rankings share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from numbers import Real

from prospr_engine.config import check_sparsity
from prospr_engine.errors import ConfigError
from prospr_engine.format import fraction_number
from prospr_engine.overrides import ALL_KEPT, Override, layer_name, resolve

DIGITS = 4  # of a sparsity that a message proposes


@dataclass(frozen=True)
class Budget:
    """How many weights are kept, by layer in the network's order: ``own`` is the number that a
    layer keeps of itself alone, None where it competes with the others. Competing layers keep
    ``shared`` weights together, each at least as many as ``floors`` says."""

    own: tuple[int | None, ...]
    floors: tuple[int, ...]
    shared: int


def kept_count(total: int, sparsity: float) -> int:
    """``ceil(total · (1 − sparsity))`` with the sparsity read in decimal, as it is written, so
    that 95 % of 1,000 leaves 50 and not, by the rounding of 1 − 0.95, 51."""
    return math.ceil(total * (1 - Fraction(repr(check_sparsity(sparsity)))))


def budget(
    sizes: Mapping[str, int],
    sparsity: float,
    layer_floor: int = 0,
    layers: Mapping[str, Override] | None = None,
) -> Budget:
    """What is kept of layers with ``sizes`` weights by name: ``kept_count`` of all, and of a layer
    with a setting of its own in ``layers`` (see ``overrides``) ``kept_count`` of that layer, by
    that setting.

    ``layer_floor`` weights of every other layer (all, in a smaller one) are kept in any case.
    Raises ``ConfigError`` if these do not fit together.
    """
    whole = isinstance(layer_floor, Real) and math.isfinite(layer_floor)
    if not whole or layer_floor < 0 or layer_floor != int(layer_floor):
        raise ConfigError(f"The floor per layer is {layer_floor!r}; give a whole number from 0 up.")
    count = kept_count(sum(sizes.values()), sparsity)
    settings = resolve(layers or {}, list(sizes))
    own = own_counts(sizes, settings)
    floors = tuple(
        min(int(layer_floor), size) if alone is None else 0
        for size, alone in zip(sizes.values(), own, strict=True)
    )
    if settings:
        _check_floors(sizes, own, layer_floor)
        _check_room(sizes, own, floors, count, sparsity)
    elif sum(floors) > count:
        raise ConfigError(
            f"A floor of {layer_floor} weights in each of {len(sizes)} layers needs "
            f"{sum(floors):,} weights, but a sparsity of {sparsity:g} keeps only {count:,}; "
            "lower one of them."
        )
    return Budget(own, floors, count - sum(filter(None, own)))


def sparsity_range(
    sizes: Mapping[str, int], layer_floor: int, layers: Mapping[str, Override]
) -> tuple[float, float]:
    """The lowest and the highest sparsity that ``layers`` and the floor permit, to four digits.
    Raises ``ConfigError`` as ``overrides.resolve`` does."""
    own = own_counts(sizes, resolve(layers, list(sizes)))
    least = most = 0
    for size, alone in zip(sizes.values(), own, strict=True):
        least += min(layer_floor, size) if alone is None else alone
        most += size if alone is None else alone
    total = sum(sizes.values())
    return (
        float(_rounded(1 - Fraction(most, total), up=True)),
        float(_rounded(1 - Fraction(max(least, 1), total), up=False)),
    )


def own_counts(
    sizes: Mapping[str, int], settings: Mapping[str, Override]
) -> tuple[int | None, ...]:
    """The number of weights that each layer keeps by its own setting, None where it has none."""
    return tuple(_own_count(size, settings.get(name)) for name, size in sizes.items())


def _own_count(size: int, setting: Override | None) -> int | None:
    if setting is None:
        return None
    return size if setting == ALL_KEPT else kept_count(size, float(setting))


def _check_floors(sizes: Mapping[str, int], own: Sequence[int | None], layer_floor: int) -> None:
    for (name, size), kept in zip(sizes.items(), own, strict=True):
        if kept is not None and kept < min(layer_floor, size):
            raise ConfigError(
                f"By its own setting the layer {layer_name(name)!r} keeps {kept:,} of {size:,} "
                f"weights, but every layer is to keep at least {layer_floor:,}; lower one of them."
            )


def _check_room(
    sizes: Mapping[str, int],
    own: Sequence[int | None],
    floors: Sequence[int],
    count: int,
    sparsity: float,
) -> None:
    """Raise ``ConfigError`` unless the layers without a setting can keep what is left."""
    total, alone = sum(sizes.values()), sum(filter(None, own))
    rest = sum(size for size, kept in zip(sizes.values(), own, strict=True) if kept is None)
    least, most = alone + sum(floors), alone + rest
    if least <= count <= most:
        return
    wanted = f"a sparsity of {sparsity:g} keeps {count:,} of {total:,} weights"
    keep = f"the layers with a setting of their own keep {alone:,}"
    if not rest:
        possible = _between(1 - Fraction(alone, total), 1 - Fraction(alone - 1, total))
        raise ConfigError(
            f"Every layer has a setting of its own, and together they keep {alone:,} weights, but "
            f"{wanted}; set the sparsity to {possible}, or leave the setting of a layer out."
        )
    if count < least:
        floor = f", and the others at least {sum(floors):,}" if any(floors) else ""
        exact = 1 - Fraction(least, total)
        raise ConfigError(
            f"{wanted[:1].upper()}{wanted[1:]}, but {keep}{floor}; "
            f"set a sparsity of at most {_rounded(exact, up=False)}, or let them keep fewer."
        )
    exact = 1 - Fraction(most, total)
    raise ConfigError(
        f"{wanted[:1].upper()}{wanted[1:]}, but {keep}, and the others have only {rest:,}; "
        f"set a sparsity of at least {_rounded(exact, up=True)}, or let them keep more."
    )


def _rounded(exact: Fraction, up: bool) -> str:
    """``exact``, below 1, in decimals, not above it, or with ``up`` not below it, but below 1."""
    turn = math.ceil if up else math.floor
    digits = next(d for d in range(DIGITS, 20) if turn(exact * 10**d) < 10**d)
    return fraction_number(turn(exact * 10**digits) / 10**digits)


def _between(least: Fraction, end: Fraction) -> str:
    """The shortest decimal from ``least`` to below ``end``."""
    digits = next(d for d in range(1, 20) if math.ceil(least * 10**d) < end * 10**d)
    return f"{math.ceil(least * 10**digits) / 10**digits:.{digits}f}"
