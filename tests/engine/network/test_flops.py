"""Layer by layer: names, weights and multiply-adds, against published figures."""

import copy

import pytest
import torch
from torch import nn

from prospr_engine.errors import ModelError
from prospr_engine.models import MODELS
from prospr_engine.models.build import build
from prospr_engine.network.flops import LayerInfo, costs, summarise, totals
from prospr_engine.network.meta import meta_copy


def test_a_small_network_by_hand():
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1, groups=2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(6, 2, 2, stride=2),
        nn.Flatten(),
        nn.Linear(2 * 8 * 8, 10),
    )
    assert summarise(model, (4, 8, 8)) == [
        LayerInfo("0.weight", "Conv2d", (6, 2, 3, 3), 108, 6 * 4 * 4 * 2 * 9),
        LayerInfo("2.weight", "ConvTranspose2d", (6, 2, 2, 2), 48, 6 * 4 * 4 * 2 * 4),
        LayerInfo("4.weight", "Linear", (10, 128), 1280, 1280),
    ]


def test_resnet20_has_the_papers_costs():
    # "41M" multiply-adds in the literature on CIFAR pruning.
    layers = summarise(build("resnet20", (3, 32, 32), 10), (3, 32, 32))
    sums = totals(layers)
    assert (sums.layers, sums.parameters) == (20, 268_336)
    assert sums.macs / 1e6 == pytest.approx(40.55, abs=0.01)
    assert layers[0].name == "conv1.weight"


@pytest.mark.parametrize(("name", "giga"), [("resnet18", 0.56), ("resnet50", 1.30)])
def test_small_image_stems_keep_every_pixel(name, giga):
    # The figures quoted with these networks on CIFAR; the ImageNet stem would cost a sixteenth.
    with torch.device("meta"):
        model = MODELS.find(name).load()((3, 32, 32), 10)
    assert totals(summarise(model, (3, 32, 32))).macs / 1e9 == pytest.approx(giga, abs=0.005)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "squeezenet1_0", "alexnet"])
def test_multiply_adds_are_torchvisions(name):
    import torchvision

    published = torchvision.models.get_model_weights(name).DEFAULT.meta["_ops"]
    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None)
    sums = totals(summarise(model, (3, 224, 224)))
    # Some published figures count biases or pooling too, and all are rounded to 0.001 G.
    assert sums.macs / 1e9 == pytest.approx(published, rel=0.01, abs=0.001)


def test_layers_used_without_being_called_count_too():
    import torchvision

    with torch.device("meta"):
        swin = torchvision.models.get_model("swin_t", weights=None)
        vit = torchvision.models.get_model("vit_b_16", weights=None)
    assert all(layer.macs > 0 for layer in summarise(swin, (3, 224, 224)))
    by_name = {layer.name: layer for layer in summarise(vit, (3, 224, 224))}
    out_proj = by_name["encoder.layers.encoder_layer_0.self_attention.out_proj.weight"]
    assert out_proj.macs == 197 * 768 * 768


@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "resnet18"])
def test_multiply_adds_are_those_that_torch_counts(name):
    """With attention, which has no prunable weights."""
    import torchvision
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = torchvision.models.get_model(name, weights=None).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 3, 224, 224))
    found = costs(model, (3, 224, 224))
    expected = counter.get_total_flops() / 2
    assert totals(found.layers).macs + found.other == pytest.approx(expected, rel=1e-6)


def test_attention_alone_is_what_torch_counts():
    from torch.utils.flop_counter import FlopCounterMode

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            x = x.flatten(2).transpose(1, 2)
            x = self.attention(x, x, x, need_weights=False)[0]
            scaled = nn.functional.scaled_dot_product_attention(x, x, x)
            return self.head((scaled @ scaled.transpose(1, 2) @ x).mean(1))

    with torch.device("meta"):  # on a CPU it does not know the fused kernel
        model = Attention().eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            model(torch.empty(1, 8, 3, 4))
    found = costs(model, (8, 3, 4))
    assert totals(found.layers).macs + found.other == counter.get_total_flops() / 2
    assert found.other


def test_a_shared_layer_appears_once_and_counts_twice():
    shared = nn.Linear(6, 6)
    (layer,) = summarise(nn.Sequential(nn.Flatten(), shared, nn.ReLU(), shared), (1, 2, 3))
    assert (layer.name, layer.parameters, layer.macs) == ("1.weight", 36, 72)


def test_the_model_is_untouched():
    model = build("small_cnn", (1, 8, 8), 10)
    before = copy.deepcopy(model.state_dict())
    summarise(model, (1, 8, 8))
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())


def test_nothing_to_prune_is_said():
    with pytest.raises(ModelError, match="nothing to prune"):
        summarise(nn.Flatten(), (1, 2, 2))


def test_meta_copies_hold_no_numbers_and_keep_structure():
    model = build("small_cnn", (1, 8, 8), 10).eval()
    model.append(nn.Linear(10, 10))
    model[-1].weight = nn.Parameter(torch.zeros(10, 10), requires_grad=False)
    model.append(model[-1])
    shadow = meta_copy(model)
    assert all(t.is_meta for t in [*shadow.parameters(), *shadow.buffers()])
    assert not any(t.is_meta for t in [*model.parameters(), *model.buffers()])
    assert shadow[-1].weight is shadow[-2].weight
    assert not shadow[-1].weight.requires_grad
    assert not shadow.training
    assert list(shadow.state_dict()) == list(model.state_dict())
