"""Presets for the forms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from app.services import METHODS, NO_CONTROL, RunConfig, SweepConfig

Config = TypeVar("Config")


@dataclass(frozen=True)
class Preset(Generic[Config]):
    """``name`` is the label of its button, ``about`` the tooltip."""

    name: str
    about: str
    config: Config


PRESETS = (
    Preset(
        "One minute, this laptop",
        "A small network on handwritten digits; takes less than a minute on an ordinary computer.",
        RunConfig(),
    ),
    Preset(
        "How sparse can it get?",
        "The same network with 98\N{NO-BREAK SPACE}% of its weights removed, trained longer.",
        RunConfig(sparsity=0.98, epochs=10),
    ),
    Preset(
        "The paper's setting",
        "ResNet-18 on CIFAR-10 with 95\N{NO-BREAK SPACE}% removed, trained as in the publications: "
        "200 epochs, batches of 256, learning rate divided by ten after half and three quarters "
        "of them. Needs a GPU.",
        RunConfig.from_dict(
            {
                "model": "resnet18",
                "data": "cifar10",
                "sparsity": 0.95,
                "epochs": 200,
                "training": {"batch_size": 256, "lr": 0.1, "schedule": "step"},
            }
        ),
    ),
)

SWEEPS = (
    Preset(
        "Quick look",
        "Six criteria at three sparsities, one seed: 18 runs, a few minutes on an ordinary "
        "computer. No error bars.",
        SweepConfig(
            methods=("prospr", "snip", "grasp", "synflow", "magnitude", "random_erk"),
            sparsities=(0.8, 0.95, 0.98),
        ),
    ),
    Preset(
        "Fair comparison",
        "All criteria at three sparsities with three seeds, each with two controls (shuffled mask, "
        "new weights): error bars, and whether the choice of weights matters at all.",
        SweepConfig(
            methods=tuple(METHODS),
            sparsities=(0.9, 0.95, 0.98),
            seeds=(0, 1, 2),
            controls=(NO_CONTROL, "shuffle", "reinit"),
        ),
    ),
    Preset(
        "How far ahead?",
        "ProsPr with one, three, five and ten look-ahead steps, three seeds.",
        SweepConfig(
            methods=("prospr",),
            sparsities=(0.9, 0.95, 0.98),
            seeds=(0, 1, 2),
            steps=(1, 3, 5, 10),
        ),
    ),
)
"""The form of a sweep starts with the first."""
