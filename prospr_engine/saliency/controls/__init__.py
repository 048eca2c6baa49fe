"""Controls: what has to make a difference if a criterion's choice of weights matters.

Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, ICLR
2021, https://arxiv.org/abs/2009.08576, section 5: masks shuffled within layers, and new initial
weights, often train as well as what the criterion chose. Only the table lives here, so that it
can be looked at without torch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from prospr_engine.registry import Registry, Spec


@dataclass(frozen=True)
class ControlSpec(Spec):
    """A control. ``target``, where there is one, makes other scores of a criterion's scores."""


_HERE = "prospr_engine.saliency.controls.rearrange"

CONTROLS = Registry(
    "control",
    (
        ControlSpec(
            name="shuffle",
            label="Mask shuffled",
            description="As many weights in each layer as the criterion keeps there, but at "
            "shuffled places.",
            target=f"{_HERE}:shuffled",
        ),
        ControlSpec(
            name="reinit",
            label="New weights",
            description="The criterion's mask, but the weights under it are drawn anew before the "
            "training.",
            target="",
        ),
        ControlSpec(
            name="random",
            label="Random, same layers",
            description="Chance alone, with as many weights in each layer as the criterion keeps "
            "there: the same question as shuffling, asked with another draw.",
            target=f"{_HERE}:redrawn",
        ),
    ),
)


def seed_of(control: str, seed: int, *of: object) -> int:
    """The seed of a control's own draws: not the run's, from which weights and batches come, and
    another one for everything ``of`` which it is a control."""
    digest = hashlib.sha256(" ".join(map(str, (control, seed, *of))).encode()).digest()
    return int.from_bytes(digest[:4], "big")
