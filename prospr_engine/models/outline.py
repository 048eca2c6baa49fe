"""Networks of the tables without weights: names and shapes at almost no cost."""

from __future__ import annotations

from torch import nn

from prospr_engine.models import MODELS
from prospr_engine.models.spec import TORCHVISION
from prospr_engine.network.meta import on_meta


def outline(name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network ``name`` for images of ``shape`` (C, H, W), on the meta device.

    Raises ``ConfigError`` for an unknown name, ``ModelError`` if the image size cannot fit.
    """
    spec = MODELS.find(name)
    with on_meta():
        if name.startswith(TORCHVISION):
            from prospr_engine.models import torchvision_zoo

            return torchvision_zoo.build(name.removeprefix(TORCHVISION), shape, classes)
        network: nn.Module = spec.load()(shape, classes)
        return network
