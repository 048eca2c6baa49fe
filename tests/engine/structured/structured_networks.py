"""Networks in no zoo, each with one thing that surgery can get wrong."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from helpers import Attentive, Tied
from torch import Tensor, nn


class Written(nn.Module):
    """Layers by name, and a forward written as a function of the module and its input."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)
        self.written = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.written(self, x)


def block(inputs: int, outputs: int, **options) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False, **options),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))


def chain(*layers: nn.Module, last: int) -> nn.Sequential:
    return nn.Sequential(*layers, head(last))


def mixed() -> nn.Module:
    """A residual sum over a concatenation."""

    def forward(m, x):
        a = m.a(x)
        b = m.b(a) + a
        both = torch.cat([b, m.c(b)], 1)
        return m.head(m.d(both) + both)

    return Written(
        forward, a=block(3, 16), b=block(16, 16), c=block(16, 24), d=block(40, 40), head=head(40)
    )


def squeezed(m, x):
    u = m.a(x)
    gate = torch.sigmoid(m.up(F.relu(m.down(u.mean((2, 3))))))
    return m.head(m.b(u * gate[:, :, None, None]))


def functional(m, x):
    a = F.relu(m.a(x))
    joined = F.max_pool2d(torch.cat((a, torch.tanh(m.b(a)), a), dim=1), 2)
    some, others = m.c(joined).chunk(2, dim=1)
    return m.head(torch.flatten(torch.maximum(some, others), 1))


def shuffled(m, x):
    u = m.a(x)
    n, c, height, width = u.shape
    u = u.view(n, 2, c // 2, height, width).transpose(1, 2).reshape(n, c, height, width)
    first, second = u.chunk(2, 1)
    return m.head(torch.cat([first, m.b(second)], 1))


def looping(m, x):
    u = m.a(x)
    for i in range(3):
        u = m.b(u) + u if i % 2 else m.c(u)
    return m.head(u)


def looking(m, x):
    u = m.a(x)
    return m.head(m.c(m.b(u) if float(u.sum()) > 1e9 else u))


def patches(m, x):
    u = m.a(x).permute(0, 2, 3, 1)
    u = u + m.g(F.gelu(m.f(m.norm(u))))
    return m.head(u.mean((1, 2)))


def heads(m, x):
    u = m.embed(x)
    batch, length, width = u.shape
    q, k, v = m.qkv(u).reshape(batch, length, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(u.shape)
    u = u + m.out(mixed)
    return m.head((u + m.g(F.gelu(m.f(m.norm(u))))).mean(1))


def windows(m, x):
    u = m.a(x).permute(0, 2, 3, 1)
    n, height, width, c = u.shape
    w = u.view(n, height // 4, 4, width // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
    w = w + m.g(F.gelu(m.f(w)))
    u = w.view(n, height // 4, width // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5)
    return m.head(u.reshape(n, height, width, c).mean((1, 2)))


def partial_stages(m, x):
    parts = list(m.a(m.stem(x)).chunk(2, 1))
    parts.append(m.b(parts[-1]))
    parts.append(parts[-1] + m.c(parts[-1]))
    return m.head(m.d(torch.cat(parts, 1)))


class Standardised(nn.Conv2d):
    """Filters of mean 0 and size 1, whatever their weights."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return F.conv2d(x, weight, self.bias)


def scaled() -> nn.Module:
    """A parameter of its own that scales a branch, from almost nothing."""
    network = Written(
        lambda m, x: m.head(m.a(x) + m.scale[:, None, None] * m.b(m.a(x))),
        a=block(3, 16), b=block(16, 16), head=head(16),
    )  # fmt: skip
    network.scale = nn.Parameter(torch.full((16,), 1e-6))
    return network


def placed() -> nn.Module:
    """A parameter of its own with a number for every place of a map."""
    network = Written(
        lambda m, x: m.head(m.b(m.a(x) + m.place)), a=block(3, 16), b=block(16, 16), head=head(16)
    )
    network.place = nn.Parameter(torch.rand(16, 8, 8))
    return network


def placed_and_pooled(m, x):
    u = m.a(x) + m.place
    return m.head(u + m.b(u))


def placed_tokens(m, x):
    u = m.a(x).flatten(2).transpose(1, 2) + m.place
    return m.head(F.relu(m.b(u) + u).mean(1))


def with_places(network: nn.Module, *shape: int) -> nn.Module:
    network.place = nn.Parameter(torch.rand(*shape))
    return network


def shared_weight() -> nn.Module:
    network = nn.Sequential(
        nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
        nn.Linear(32, 4),
    )  # fmt: skip
    network[4].weight = network[2].weight
    return network


def auxiliary(m, x):
    u = m.a(x)
    if m.training:
        m.aux(u)
    return m.head(m.b(u))


def separated(m, x):
    """A sum of which one term has no gradient, so that the tie does not show."""
    u = m.a(x)
    return m.head(m.c(m.b(u) + u.detach()))


def assigned(m, x):
    u = m.a(x).clone()
    u[:, 3] = 1.0
    return m.head(m.b(u))


IMAGE = (3, 8, 8)
WORDS = (5, 16)

CUT: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], set[str]]] = {
    # What is cut: the names of all groups.
    "grouped": (
        lambda: chain(block(3, 16), block(16, 32, groups=4), block(32, 16, groups=2), last=16),
        IMAGE, {"0.0", "1.0", "2.0"},
    ),
    "depthwise": (
        lambda: chain(block(3, 16), block(16, 16, groups=16), block(16, 24), last=24),
        IMAGE, {"0.0", "2.0"},
    ),
    "depthwise, three filters each": (
        lambda: chain(block(3, 16), block(16, 48, groups=16), last=48), IMAGE, {"0.0"},
    ),
    "transposed": (
        lambda: chain(block(3, 16), nn.ConvTranspose2d(16, 24, 2, 2), nn.ReLU(), last=24),
        IMAGE, {"0.0", "1"},
    ),
    "transposed, grouped": (
        lambda: chain(block(3, 16), nn.ConvTranspose2d(16, 32, 2, 2, groups=4), last=32),
        IMAGE, {"0.0", "1"},
    ),
    "transposed, depthwise": (
        lambda: chain(block(3, 16), nn.ConvTranspose2d(16, 32, 2, 2, groups=16), last=32),
        IMAGE, {"0.0"},
    ),
    "concatenation and residual sum": (mixed, IMAGE, {"a.0", "c.0"}),
    "used twice": (
        lambda: Written(lambda m, x: m.head(m.b(m.b(m.a(x)))),
                        a=block(3, 16), b=block(16, 16), head=head(16)),
        IMAGE, {"a.0"},
    ),
    "functional": (
        lambda: Written(functional, a=nn.Conv2d(3, 16, 3), b=nn.Conv2d(16, 8, 3, padding=1),
                        c=nn.Conv2d(40, 32, 1), head=nn.Linear(144, 4)),
        IMAGE, {"a", "b", "c"},
    ),
    "squeeze and excite": (
        lambda: Written(squeezed, a=block(3, 16), down=nn.Linear(16, 8), up=nn.Linear(8, 16),
                        b=block(16, 16), head=head(16)),
        IMAGE, {"a.0", "down", "b.0"},
    ),
    "shuffled": (
        lambda: Written(shuffled, a=block(3, 32), b=block(16, 16), head=head(32)),
        IMAGE, {"a.0", "b.0"},
    ),
    "gated linear units": (
        lambda: chain(block(3, 16), nn.Conv2d(16, 32, 1), nn.GLU(1), block(16, 16), last=16),
        IMAGE, {"0.0", "3.0"},
    ),
    "loop": (
        lambda: Written(looping, a=block(3, 16), b=block(16, 16), c=block(16, 16), head=head(16)),
        IMAGE, {"a.0"},
    ),
    "looks at values": (
        lambda: Written(looking, a=block(3, 16), b=block(16, 16), c=block(16, 16), head=head(16)),
        IMAGE, {"a.0", "c.0"},
    ),
    "one dimension": (
        lambda: nn.Sequential(nn.Conv1d(3, 16, 3), nn.BatchNorm1d(16), nn.ReLU(),
                              nn.MaxPool1d(2), nn.Flatten(), nn.Linear(144, 4)),
        (3, 20), {"0"},
    ),
    "three dimensions": (
        lambda: nn.Sequential(nn.Conv3d(2, 16, 3), nn.BatchNorm3d(16), nn.ReLU(), nn.Flatten(),
                              nn.Linear(128, 4)),
        (2, 4, 4, 4), {"0"},
    ),
    "linear layers": (
        lambda: nn.Sequential(nn.Linear(30, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Dropout(),
                              nn.Linear(64, 32), nn.PReLU(32), nn.Linear(32, 4)),
        (30,), {"0", "4"},
    ),
    "channels last": (
        lambda: Written(patches, a=block(3, 16), norm=nn.LayerNorm(16), f=nn.Linear(16, 64),
                        g=nn.Linear(64, 16), head=nn.Linear(16, 4)),
        IMAGE, {"f"},
    ),
    "attention": (Attentive, (5, 6), set()),
    "attention, written out": (
        lambda: Written(heads, embed=nn.Linear(16, 32), qkv=nn.Linear(32, 96),
                        out=nn.Linear(32, 32), norm=nn.LayerNorm(32), f=nn.Linear(32, 64),
                        g=nn.Linear(64, 32), head=nn.Linear(32, 4)),
        WORDS, {"f"},
    ),
    "encoder layer": (
        lambda: Written(lambda m, x: m.head(m.layer(x).mean(1)),
                        layer=nn.TransformerEncoderLayer(16, 4, 64, batch_first=True),
                        head=nn.Linear(16, 4)),
        WORDS, {"layer.linear1"},
    ),
    "instance norm": (
        lambda: chain(nn.Conv2d(3, 16, 3), nn.InstanceNorm2d(16, affine=True), nn.ReLU(),
                      nn.Conv2d(16, 16, 3), nn.InstanceNorm2d(16), last=16),
        IMAGE, {"0", "3"},
    ),
    "batch norm without parameters": (
        lambda: chain(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16, affine=False), nn.ReLU(),
                      nn.Conv2d(16, 16, 3),
                      nn.BatchNorm2d(16, affine=False, track_running_stats=False), last=16),
        IMAGE, {"0", "3"},
    ),
    "not zero at zero": (
        lambda: chain(nn.Conv2d(3, 16, 3), nn.Sigmoid(), nn.Conv2d(16, 16, 3), nn.Softplus(),
                      last=16),
        IMAGE, {"0", "2"},
    ),
    "group norm stays whole": (
        lambda: chain(block(3, 16), nn.Conv2d(16, 32, 3), nn.GroupNorm(4, 32), nn.ReLU(),
                      block(32, 16), last=16),
        IMAGE, {"0.0", "4.0"},
    ),
    "softmax over channels stays whole": (
        lambda: chain(block(3, 16), nn.Softmax(1), block(16, 16), last=16), IMAGE, {"2.0"},
    ),
    "the input's channels stay whole": (
        lambda: Written(lambda m, x: m.head(m.c(x + m.b(m.a(x)))), a=block(3, 16),
                        b=nn.Conv2d(16, 3, 1), c=block(3, 16), head=head(16)),
        IMAGE, {"a.0", "c.0"},
    ),
    "widths in the forward stay whole": (
        lambda: Written(lambda m, x: m.head(m.b(m.a(x).view(-1, 16, 8, 8))),
                        a=block(3, 16), b=block(16, 16), head=head(16)),
        IMAGE, {"b.0"},
    ),
    "what only training reads stays whole": (
        lambda: Written(auxiliary, a=block(3, 16), b=block(16, 16), aux=head(16), head=head(16)),
        IMAGE, {"b.0"},
    ),
    "hidden ties stay whole": (
        lambda: Written(separated, a=block(3, 16), b=block(16, 16), c=block(16, 16), head=head(16)),
        IMAGE, {"c.0"},
    ),
    "single channels in the forward stay whole": (
        lambda: Written(assigned, a=block(3, 16), b=block(16, 16), head=head(16)), IMAGE, {"b.0"},
    ),
    "tiny scale": (scaled, IMAGE, {"a.0"}),
    "a number for every place": (placed, IMAGE, {"a.0", "b.0"}),
    "a number for every place, pooled": (
        lambda: with_places(
            Written(placed_and_pooled, a=block(3, 16), b=block(16, 16), head=head(16)), 16, 8, 8
        ),
        IMAGE, {"a.0"},
    ),
    "a number for every token": (
        lambda: with_places(
            Written(placed_tokens, a=block(3, 16), b=nn.Linear(16, 16), head=nn.Linear(16, 4)),
            64, 16,
        ),
        IMAGE, {"a.0"},
    ),
    "shared weight": (shared_weight, (20,), {"0"}),
    "insists on its format": (
        lambda: Written(lambda m, x: m.head(m.a(x.float()) * torch.ones(1)), a=block(3, 16),
                        head=head(16)),
        IMAGE, {"a.0"},
    ),
    "called by keyword": (
        lambda: Written(lambda m, x: m.head(input=F.relu(m.b(input=m.a(x).mean((2, 3))))),
                        a=block(3, 16), b=nn.Linear(16, 32), head=nn.Linear(32, 4)),
        IMAGE, {"a.0", "b"},
    ),
    "windows": (
        lambda: Written(windows, a=block(3, 16), f=nn.Linear(16, 32), g=nn.Linear(32, 16),
                        head=nn.Linear(16, 4)),
        IMAGE, {"a.0", "f"},
    ),
    "partial stages": (
        lambda: Written(partial_stages, stem=block(3, 16), a=block(16, 32), b=block(16, 16),
                        c=block(16, 16), d=block(64, 16), head=head(16)),
        IMAGE, {"stem.0", "a.0", "b.0", "d.0"},
    ),
    "stacked": (
        lambda: Written(lambda m, x: m.head(torch.stack([m.a(x), m.b(x)], 1).flatten(1, 2)),
                        a=block(3, 16), b=block(3, 16), head=head(32)),
        IMAGE, {"a.0"},
    ),
    "standardised filters stay whole inside": (
        lambda: chain(Standardised(3, 16, 3), nn.ReLU(), Standardised(16, 16, 3), last=16),
        IMAGE, {"2"},
    ),
    "scaled by their number": (
        lambda: Written(lambda m, x: m.head(m.b(m.a(x)) / m.a(x).shape[1] ** 0.5), a=block(3, 16),
                        b=block(16, 16), head=head(16)),
        IMAGE, {"b.0"},
    ),
    "double precision": (lambda: chain(block(3, 16), last=16).double(), IMAGE, {"0.0"}),
    "narrow": (lambda: chain(block(3, 2), block(2, 1), block(1, 3), last=3), IMAGE,
               {"0.0", "2.0"}),
}  # fmt: skip


def padded_shortcut(m, x):
    x = m.a(x)
    return m.head(m.b(x) + F.pad(x, (0, 0, 0, 0, 8, 8)))


REFUSED: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "nothing but outputs": (
        lambda: nn.Linear(30, 4), (30,), "those of its only layer are outputs of the network",
    ),
    "tied to the input": (Tied, (6,), "those of layer 'first' come with the input"),
    "a shortcut that pads channels": (
        lambda: Written(padded_shortcut, a=block(3, 16), b=nn.Conv2d(16, 32, 3, padding=1),
                        head=head(32)),
        IMAGE, r"those of layer 'a\.0' go through constant_pad_nd, from which none can be left out",
    ),
    "a norm over channels": (
        lambda: Written(lambda m, x: m.head(m.norm(m.a(x).mean((2, 3)))), a=block(3, 16),
                        norm=nn.LayerNorm(16), head=nn.Linear(16, 4)),
        IMAGE, r"those of layer 'a\.0' are read by layer 'norm' \(LayerNorm\), which needs all of",
    ),
    "one place": (
        lambda: Written(lambda m, x: m.head(m.a(x)[:, 3].flatten(1)), a=block(3, 16),
                        head=nn.Linear(64, 4)),
        IMAGE, r"those of layer 'a\.0' depend on their places",
    ),
    "noise": (
        lambda: Written(lambda m, x: m.head(F.dropout(m.a(x), 0.5, True)), a=block(3, 16),
                        head=head(16)),
        IMAGE, r"layer 'head\.2' \(Linear\) would compute something else",
    ),
    "width fixed": (
        lambda: Written(lambda m, x: m.head(m.a(x).view(-1, 1024)), a=block(3, 16),
                        head=nn.Linear(1024, 4)),
        IMAGE, r"without some of layer 'a.0', it does not run \(shape '\[-1, 1024\]' is invalid",
    ),
    "computed weight": (
        lambda: chain(nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 16, 3)), last=16),
        IMAGE, "computed by a parametrization",
    ),
    "wrong input": (
        lambda: chain(block(4, 16), last=16), IMAGE, "cannot take a batch of shape",
    ),
    "several answers": (
        lambda: Written(lambda m, x: (m.head(m.a(x)), x), a=block(3, 16), head=head(16)),
        IMAGE, "answers with a tuple",
    ),
}  # fmt: skip
