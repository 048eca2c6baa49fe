"""Fit the networks of libraries, and weights for them, to another number of classes or of colour
channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prospr_engine.format import counted
from prospr_engine.models.classifier import resize_classifier


def head_of(model: nn.Module) -> str:
    """The name of the classifier: the last linear or convolutional layer."""
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return layers[-1] if layers else ""


def resize_head(model: nn.Module, classes: int) -> None:
    """Give the classifier of a network of these tables that many ``classes``, with new weights,
    unless it has them. Draws from the global random state."""
    head = head_of(model)
    own = model.get_submodule(head).named_parameters()
    parameters = {f"{head}.{name}": (0, len(values)) for name, values in own}
    if any(had != classes for _, had in parameters.values()):
        resize_classifier(model, {name: axis for name, (axis, _) in parameters.items()}, classes)


def other_classes(had: int, classes: int) -> str:
    """What to tell the user about a new classifier."""
    return (
        f"The weights are for {counted(had, 'class', 'classes')} and the data have {classes:,}: "
        "the classifier is new, everything else was loaded."
    )


def other_channels(had: int, channels: int) -> str:
    """What to tell the user about a first layer whose kernels were spread."""
    return (
        f"The weights are for images with {counted(had, 'channel')} and the data have {channels}: "
        f"the kernels of the first layer were {'summed' if channels == 1 else 'repeated'}."
    )


def spread(kernels: Tensor, channels: int) -> Tensor:
    """Kernels (out, in, …) for another number of input channels.

    For grey images they are summed: a grey image has the same value in red, green and blue, so the
    sum gives exactly the response to it. For other numbers they repeat, scaled to keep the size of
    the response.
    """
    had = kernels.shape[1]
    if channels == 1:
        return kernels.sum(1, keepdim=True)
    index = torch.arange(channels, device=kernels.device) % had
    return kernels[:, index] * (had / channels)
