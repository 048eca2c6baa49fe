"""Fit the networks of libraries, and weights for them, to another number of colour channels."""

from __future__ import annotations

import torch
from torch import Tensor

from prospr_engine.format import counted


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
