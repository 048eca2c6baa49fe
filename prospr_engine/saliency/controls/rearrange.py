"""Scores that keep as many weights in every layer as a criterion's, but others.

Each layer's scores change places within the layer. Whatever the sparsity, as many of them are
among the highest of the network as before, so that one control serves all sparsities, and the
file of scores still says which weights were kept.
"""

from __future__ import annotations

import dataclasses

from prospr_engine.errors import ScoringError
from prospr_engine.saliency.base import Scores
from prospr_engine.saliency.controls import ControlSpec, seed_of


def rearrange(control: ControlSpec, scores: Scores, seed: int) -> Scores:
    """What a control that ``rearranges_scores`` makes of ``scores`` in a run of that ``seed``.

    Raises ``ScoringError`` if it gives scores of other weights or of other shapes.
    """
    # Another draw for each criterion and its options: with the same one for all, two shuffled
    # masks would have as much in common as the masks themselves.
    own_seed = seed_of(control.name, seed, scores.method, sorted(scores.options.items()))
    values = dict(control.load()(scores, own_seed))
    if {n: v.shape for n, v in values.items()} != {n: v.shape for n, v in scores.items()}:
        raise ScoringError(
            f"The control {control.name!r} did not give a score for every weight; it must return "
            "tensors of the same names and shapes."
        )
    return dataclasses.replace(
        scores,
        values_by_name=values,
        channels={},  # sums of what each channel's weights do to the loss: of others now
        options={**scores.options, "control": control.name},
    )
