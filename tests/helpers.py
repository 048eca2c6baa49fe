"""Networks and slow, obvious computations that tests compare with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def batch(shape: tuple[int, ...], classes: int = 3, n: int = 8, seed: int = 0, dtype=torch.float64):
    """One calibration batch of noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *shape, generator=generator, dtype=dtype)
    return x, torch.randint(0, classes, (n,), generator=generator)


def seeded(make, seed: int = 0) -> nn.Module:
    """A double-precision network built under ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make().double()


def unrolled(model, batches, steps, lr, momentum=0.0) -> dict[str, Tensor]:
    """∂L/∂θ⁰ of every parameter, by one autograd graph through all steps; nothing is detached."""
    model = model.train()
    start = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    point = dict(start)
    velocity = None
    for i in range(steps):
        x, y = batches[i % len(batches)]
        loss = F.cross_entropy(torch.func.functional_call(model, point, (x,)), y)
        gradient = torch.autograd.grad(loss, list(point.values()), create_graph=True)
        if velocity is None:
            velocity = list(gradient)
        else:
            velocity = [momentum * v + g for v, g in zip(velocity, gradient, strict=True)]
        point = {n: p - lr * v for (n, p), v in zip(point.items(), velocity, strict=True)}
    x, y = batches[steps % len(batches)]
    loss = F.cross_entropy(torch.func.functional_call(model, point, (x,)), y)
    gradient = torch.autograd.grad(
        loss, list(start.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(start, gradient, strict=True))


class Attentive(nn.Module):
    """Two heads of self-attention with layer norm, and a linear layer before and after."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        x = self.embed(x)
        x = self.norm(x + self.attention(x, x, x, need_weights=False)[0])
        return self.head(x.mean(1))


class Once(torch.autograd.Function):
    """A square whose derivative cannot be differentiated."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, g):
        return 2 * ctx.saved_tensors[0] * g


class Tied(nn.Module):
    """One weight in two layers, as language models tie input and output."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.second = nn.Linear(6, 6, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))


NETWORKS = {
    "batch norm": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(),
            nn.Conv2d(4, 4, 3, stride=2), nn.BatchNorm2d(4, affine=False), nn.ReLU(),
            nn.Flatten(), nn.Linear(16, 3),
        ),
        (2, 6, 6),
    ),
    "grouped, group norm": (
        lambda: nn.Sequential(
            nn.Conv2d(2, 4, 1), nn.GroupNorm(2, 4), nn.GELU(),
            nn.Conv2d(4, 6, 3, groups=2), nn.Flatten(), nn.Linear(96, 3),
        ),
        (2, 6, 6),
    ),
    "one dimension": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.SiLU(), nn.Flatten(), nn.Linear(16, 3),
            nn.BatchNorm1d(3),
        ),
        (2, 6),
    ),
    "three dimensions": (
        lambda: nn.Sequential(
            nn.Conv3d(1, 3, 2), nn.BatchNorm3d(3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 3)
        ),
        (1, 3, 3, 3),
    ),
    "transposed": (
        lambda: nn.Sequential(
            nn.ConvTranspose2d(2, 4, 2, stride=2, groups=2), nn.Tanh(), nn.Flatten(),
            nn.Linear(144, 3),
        ),
        (2, 3, 3),
    ),
    "attention": (Attentive, (5, 6)),
    "tied": (Tied, (6,)),
    "no normalisation": (
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)),
        (2, 2, 2),
    ),
}  # fmt: skip


def formulas(text: str) -> list[str]:
    """The formulas of a Markdown text; fails where one would be shown as it is written."""
    found, fence = [], None
    for line in text.splitlines():
        if line.strip() == "$$":
            found, fence = ([*found, fence], None) if fence is not None else (found, "")
        elif fence is not None:
            assert line.strip(), "a blank line ends a formula"
            fence += line
        else:
            assert "$$" not in line, f"$$ has to stand alone on its line: {line}"
            assert line.count("$") % 2 == 0, f"a formula ends on the line that it began: {line}"
            found += line.split("$")[1::2]
    assert fence is None, "a formula does not end"
    return found
