"""Networks of the tables without weights: names and shapes at almost no cost."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from prospr_engine.models import MODELS, is_file
from prospr_engine.models.classifier import class_axes
from prospr_engine.models.collections import collection_of
from prospr_engine.network.meta import on_meta


def shape_for(name: str, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """The shape (C, H, W) of images that the network ``name`` gets, where the data have ``shape``:
    a network from a file may fix it."""
    if not is_file(name):
        return shape
    from prospr_engine.models.imports import network_file

    return network_file.describe(name).taken(shape)


def outline(name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The network ``name`` for images of ``shape`` (C, H, W), on the meta device.

    Raises ``ConfigError`` for an unknown name, ``ModelError`` if the image size cannot fit.
    """
    spec = MODELS.find(name)
    if is_file(name):
        from prospr_engine.models.imports import network_file

        return network_file.outline(name, shape, classes)
    with on_meta():
        network: nn.Module
        if collection := collection_of(name):
            own_name = name.removeprefix(collection.prefix)
            network = collection.adapter().build(own_name, shape, classes)
        else:
            network = spec.load()(shape, classes)
        return network


def classifier_of(
    name: str, network: nn.Module, shape: tuple[int, int, int], classes: int
) -> Mapping[str, int]:
    """The axis of the classes in each parameter of ``network`` that makes class scores, by name. It
    is the network ``name``, built for images of ``shape`` (C, H, W) and that many ``classes``, and
    may be on the meta device."""
    if is_file(name):
        from prospr_engine.models.imports import network_file

        return network_file.describe(name).classifier
    return class_axes(network, outline(name, shape, classes + 1))
