"""A network that the exporter cannot take: where it failed, and what to try."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import prospr_engine as pe
from prospr_engine.errors import ExportError


class Bessel(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class Singular(nn.Module):
    def forward(self, x):
        return torch.linalg.svd(x.unsqueeze(1) * torch.ones(3, 1))[1]


class Branch(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Outside(nn.Module):
    def forward(self, x):
        return torch.from_numpy(x.detach().numpy())


def network(layer: nn.Module) -> nn.Module:
    """The layer inside another one, with layers before and behind it."""
    body = nn.Sequential(nn.ReLU(), layer)
    return nn.Sequential(nn.Linear(4, 4), body, nn.Flatten()).eval()


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (Bessel, "the operator bessel_j0, used in the layer '1.1' (Bessel), to ONNX. Compute"),
        (
            Singular,
            "the operator _linalg_svd, used in the layer '1.1' (Singular), to ONNX. Compute",
        ),
        (Branch, "its forward, in the layer '1.1' (Branch), depends on the values"),
        (Outside, "its forward, in the layer '1.1' (Outside), depends on the values"),
    ],
)
def test_the_message_names_the_layer(layer, words: str, tmp_path: Path):
    model = network(layer())
    with pytest.raises(ExportError) as error:
        pe.export_onnx(model, tmp_path / "a.onnx", torch.randn(2, 4))
    assert words in str(error.value)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_forward_of_the_whole_network_has_no_layer(tmp_path: Path):
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 4)

        def forward(self, x):
            return self.last(x) if x.sum() > 0 else -self.last(x)

    with pytest.raises(ExportError, match="usually its forward depends on the values"):
        pe.export_onnx(Whole(), tmp_path / "a.onnx", torch.randn(2, 4))
