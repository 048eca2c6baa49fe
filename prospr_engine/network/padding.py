"""A shortcut without weights that widens its input by channels of zeros."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ChannelPadding(nn.Module):
    """Option A of He et al. (2016), https://arxiv.org/abs/1512.03385, section 4.2: every
    ``stride``-th pixel, with ``before`` and ``after`` channels of zeros on both sides.

    A module of its own, and not a line in a forward, so that surgery on channels finds the two
    numbers and can change them.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.before = before
        self.after = after
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, before + C + after, ⌈H / stride⌉, ⌈W / stride⌉)."""
        thinned = x[:, :, :: self.stride, :: self.stride]
        return F.pad(thinned, (0, 0, 0, 0, self.before, self.after))
