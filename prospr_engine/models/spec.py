"""A row of the table of networks."""

from __future__ import annotations

from dataclasses import dataclass

from prospr_engine.registry import Spec

TORCHVISION = "torchvision/"


@dataclass(frozen=True)
class ModelSpec(Spec):
    """One network. In the built-in zoo, ``load()`` returns a function
    ``(shape, classes) -> Module``.

    ``parameters`` counts all trainable values for 3×32×32 images and ten classes (for
    networks of other libraries: as
    published, for 1,000 classes, or 0 if that is unknown). ``lr`` is the recommended learning
    rate of SGD with momentum 0.9, ``min_image_size`` the smallest side in pixels.
    """

    paper: str = ""
    min_image_size: int = 1
    lr: float = 0.1
    parameters: int = 0
    pretrained: bool = False
    """Weights trained on ImageNet can be downloaded."""


@dataclass(frozen=True)
class Published:
    """What a library says of the weights that it publishes for a network: their number of
    ``classes`` and of colour ``channels``, and ``mean`` and ``std`` of the pixels in [0, 1] that
    they were trained with, per channel."""

    classes: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
