"""Random shifts and mirror images, a whole batch at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def augment(images: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """Augment float ``images`` (N, C, H, W): ``how`` is "none", "shift" or "shift+flip".

    Shifts go up to an eighth of the side in each direction (4 of 32 pixels, as He et al. 2016
    train on CIFAR) and fill with zero, the mean of normalised images. The draw is made on the
    CPU, so that a seed means the same on every device.
    """
    if how == "none":
        return images
    n, _, height, width = images.shape
    reach = max(1, min(height, width) // 8)
    top, left = torch.randint(0, 2 * reach + 1, (2, n, 1), generator=generator).to(images.device)
    rows = (top + torch.arange(height, device=images.device)).view(n, 1, height, 1)
    columns = (left + torch.arange(width, device=images.device)).view(n, 1, 1, width)
    if how == "shift+flip":
        flipped = (torch.rand(n, generator=generator) < 0.5).to(images.device)
        columns = torch.where(flipped.view(n, 1, 1, 1), columns.flip(-1), columns)
    padded = F.pad(images, (reach, reach, reach, reach))
    which = torch.arange(n, device=images.device).view(n, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    return padded[which, channel, rows, columns]
