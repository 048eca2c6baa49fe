"""The verdict of a run covers the scores, and the choice that was made by them."""

from __future__ import annotations

import torch
from helpers import batch
from torch import nn

import prospr_engine as pe
from prospr_engine.pipeline.result import Pruning


def test_weights_that_position_chose_are_counted_in_the_result():
    """Two of four units are dead for every input, so half of the scores are zero: of 27 weights
    that are kept, 9 are among 18 equals."""
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    with torch.no_grad():
        model[0].bias[:2] = -100.0
        model[0].weight.uniform_(0.1, 1, generator=torch.Generator().manual_seed(0))
        model[2].weight.uniform_(0.1, 1, generator=torch.Generator().manual_seed(1))
    x, y = batch((6,), dtype=torch.float32)
    scores = pe.score(model, [(x.abs(), y)], "snip")
    assert scores.diagnostics.trusted
    masks = scores.masks(0.25)
    values = Pruning(scores, masks, pe.examine(model, masks, x)).to_dict()
    assert values["trust"]["trusted"] is False
    (finding,) = [one for one in values["findings"] if one["text"] == values["trust"]["verdict"]]
    assert finding["level"] == "warning"
    assert finding["text"].startswith("9 kept weights")
