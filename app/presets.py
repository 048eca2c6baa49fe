"""Settings to begin with, each a click away."""

from __future__ import annotations

from dataclasses import dataclass

from app.services import RunConfig


@dataclass(frozen=True)
class Preset:
    """``name`` stands on its button, ``about`` in the button's tooltip."""

    name: str
    about: str
    config: RunConfig


PRESETS = (
    Preset(
        "One minute, this laptop",
        "A small network on handwritten digits: done within a minute on an ordinary computer.",
        RunConfig(),
    ),
    Preset(
        "How sparse can it get?",
        "The same with 98\N{NO-BREAK SPACE}% of the weights removed, and longer training.",
        RunConfig(sparsity=0.98, epochs=10),
    ),
    Preset(
        "The paper's setting",
        "ResNet-18 on CIFAR-10 with 95\N{NO-BREAK SPACE}% removed, trained as in the publications: "
        "200 epochs in batches of 256, the learning rate divided by ten at half and three "
        "quarters. Made for a GPU.",
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
