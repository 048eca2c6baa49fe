"""Change a network for other images: another number of classes, or of colour channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from prospr_engine.format import counted
from prospr_engine.models.zoo.init import he_init


def head_of(model: nn.Module) -> str:
    """The name of the classifier: the last linear or convolutional layer."""
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    return layers[-1] if layers else ""


def replace_head(model: nn.Module, classes: int) -> str:
    """Give the classifier ``classes`` outputs with new weights, unless it has that many. Draws from
    the global random state. Returns a sentence for the user, "" if nothing was changed."""
    head = model.get_submodule(head_of(model))
    assert isinstance(head, nn.Linear | nn.Conv2d)
    had = len(head.weight)
    if had == classes:
        return ""
    if isinstance(head, nn.Linear):
        head.out_features = classes
    else:  # SqueezeNet's last layer is a convolution
        head.out_channels = classes
    head.weight = nn.Parameter(head.weight.new_empty(classes, *head.weight.shape[1:]))
    if head.bias is not None:
        head.bias = nn.Parameter(head.bias.new_empty(classes))
    he_init(head)
    return other_classes(had, classes)


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
