"""From a name to a network that fits the data."""

from __future__ import annotations

import torch
from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.errors import ModelError
from prospr_engine.identity import file_options
from prospr_engine.models import MODELS, is_file
from prospr_engine.models.adapt import other_channels
from prospr_engine.models.classifier import replaced
from prospr_engine.models.collections import collection_of
from prospr_engine.models.imports.weights import Wanted, load_weights
from prospr_engine.models.spec import Published
from prospr_engine.models.validate import check
from prospr_engine.models.zoo.init import he_init
from prospr_engine.network.seeding import seeded


def build(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    seed: int = 0,
    weights: str = "fresh",
) -> nn.Module:
    """The network ``name`` for images of ``shape`` (C, H, W), on the CPU, in train mode: that of
    ``build_noted``, without the notes."""
    return build_noted(name, shape, classes, seed, weights)[0]


def build_noted(
    name: str,
    shape: tuple[int, int, int],
    classes: int,
    seed: int = 0,
    weights: str = "fresh",
) -> tuple[nn.Module, tuple[str, ...]]:
    """The network ``name`` for images of ``shape`` (C, H, W), on the CPU, in train mode; and notes
    for the user on where it differs from what was given, such as a new classifier.

    ``fresh`` weights are drawn from ``seed`` alone (built-in zoo: He normal, see ``init``; an ONNX
    file: see ``fresh.redraw``; ``torchvision/`` and ``timm/``: their builders' own schemes); the
    global random state is neither read nor changed. ``pretrained`` takes the weights that the
    library publishes, or those in the ONNX file, and draws only the layers that the data require to
    be new. Anything else is a file of weights (safetensors or PyTorch), by path or token, with a
    tensor for each one of the network. Raises ``ConfigError`` for an unknown name or kind of
    weights, ``ModelError`` if the network does not fit the data or the weights are unavailable,
    ``ResourceError`` if an ONNX file takes too much memory or time.
    """
    spec = MODELS.find(name)
    option = file_options(RunConfig)["weights"]
    option.check(weights)
    if weights == "pretrained" and not spec.pretrained:
        raise ModelError(
            f"{name} has no pretrained weights; use weights='fresh', or choose one of "
            "torchvision's or timm's networks, such as torchvision/resnet18."
        )
    if len(shape) != 3 or min(shape) < 1:
        raise ModelError(
            f"The image shape is {tuple(shape)}; give channels, height and width, each at least 1."
        )
    if classes < 2:
        raise ModelError(f"A classifier needs at least 2 classes, not {classes}.")
    notes: tuple[str, ...] = ()
    with seeded(seed), torch.device("cpu"):
        if collection := collection_of(name):
            own_name = name.removeprefix(collection.prefix)
            adapter = collection.adapter()
            model = adapter.build(own_name, shape, classes, weights == "pretrained")
            if weights == "pretrained":
                notes = _changes(adapter.published(own_name), shape[0], classes)
        elif is_file(name):
            model, notes = spec.load()(name, shape, classes, weights == "pretrained")
        else:
            model = spec.load()(shape, classes)
            he_init(model)
    if option.names_file(weights):
        notes += load_weights(Wanted(name, model, shape, classes), weights)
    for problem in check(model, shape, classes):
        if problem.fatal:
            raise ModelError(problem.text)
    return model, notes


def _changes(published: Published, channels: int, classes: int) -> tuple[str, ...]:
    """Where a network differs from the one that the published weights were trained in."""
    return (
        *([replaced(published.classes, classes, given=True)] * (published.classes != classes)),
        *([other_channels(published.channels, channels)] * (published.channels != channels)),
    )
