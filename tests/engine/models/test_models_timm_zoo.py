"""Networks of timm: adapted to the images, scored, saved and loaded like any other."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub.errors import (
    EntryNotFoundError,
    LocalEntryNotFoundError,
)
from safetensors.torch import save_file

import prospr_engine as pe
from prospr_engine.errors import ConfigError, ModelError
from prospr_engine.models import MODELS, hub
from prospr_engine.models.build import build, build_noted
from prospr_engine.pipeline.checkpoint import Source, load_network, save_network

SMALL = {"resnet10t": (3, 32, 32), "vit_tiny_patch16_224": (1, 32, 32)}

# One of each family: its name and a side of images that it can take.
FAMILIES = {
    "resnet10t": 64,
    "resnetv2_18": 64,
    "regnetx_002": 64,
    "mobilenetv3_small_050": 64,
    "efficientnet_b0": 64,
    "ghostnet_050": 64,
    "convnext_atto": 64,
    "densenet121": 64,
    "dla46_c": 64,
    "repvgg_a0": 64,
    "selecsls42b": 64,
    "vit_tiny_patch16_224": 32,
    "mixer_s32_224": 64,
    "xcit_nano_12_p16_224": 64,
    "edgenext_xx_small": 64,
    "swin_tiny_patch4_window7_224": 56,
}


def batch(shape: tuple[int, int, int], classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, *shape, generator=generator)
    return images, torch.randint(classes, (4,), generator=generator)


@pytest.mark.parametrize(("name", "shape"), SMALL.items())
def test_a_network_fits_the_images_and_classes(name: str, shape: tuple[int, int, int]) -> None:
    network = build(f"timm/{name}", shape, 7)
    assert network.training
    assert network(torch.zeros(2, *shape)).shape == (2, 7)


def test_weights_come_from_the_seed_alone() -> None:
    torch.manual_seed(3)
    first = build("timm/resnet10t", (1, 32, 32), 4, seed=1).state_dict()
    drawn = torch.rand(1)
    again = build("timm/resnet10t", (1, 32, 32), 4, seed=1).state_dict()
    other = build("timm/resnet10t", (1, 32, 32), 4, seed=2).state_dict()
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert all(torch.equal(values, again[name]) for name, values in first.items())
    assert not torch.equal(first["fc.weight"], other["fc.weight"])


def test_no_branch_begins_closed() -> None:
    """timm sets the last scale of every residual block to zero, so that its weights get no
    gradient and would all go first."""
    theirs = timm.create_model("resnet10t")
    assert not theirs.layer1[0].bn2.weight.any()
    shape = (3, 32, 32)
    scores = pe.score(build("timm/resnet10t", shape, 4), [batch(shape, 4)], method="snip")
    assert all(values.any() for values in scores.values())


def test_no_gain_begins_at_zero() -> None:
    """Networks without normalisation close their branches with a gain for each filter."""
    theirs = dict(timm.create_model("nf_ecaresnet26").named_parameters())
    closed = [name for name, p in theirs.items() if name.endswith("gain") and not p.any()]
    assert closed
    network = build("timm/nf_ecaresnet26", (3, 32, 32), 4)
    assert all(bool((network.get_parameter(name) == 1).all()) for name in closed)


def test_an_image_size_that_does_not_fit() -> None:
    with pytest.raises(ModelError, match=r"timm/vit_tiny_patch16_224.*set the image size to 224"):
        build("timm/vit_tiny_patch16_224", (3, 8, 8), 4)


def test_a_saved_network_is_loaded_again(tmp_path: Path) -> None:
    shape = (1, 32, 32)
    network, source = build("timm/resnet10t", shape, 4), Source.of("timm/resnet10t", shape, 4)
    assert source == Source("timm", "resnet10t", shape, 4)
    save_network(tmp_path / "net.safetensors", network, {"a": 1}, source)
    again, label = load_network(tmp_path / "net.safetensors")
    x = batch(shape, 4)[0]
    assert torch.equal(network.eval()(x), again.eval()(x))
    assert label == {"a": 1}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/resnet10", "did you mean 'timm/resnet10t'"),
        ("timm/resnet10t.nothing", "did you mean 'timm/resnet10t'"),
        ("resnet10t", "There is timm/resnet10t; give that name"),
        ("timm/", "such as timm/resnet10t"),
    ],
)
def test_an_unknown_name_is_answered_with_a_known_one(name: str, message: str) -> None:
    assert name not in MODELS
    with pytest.raises(ConfigError, match=message):
        MODELS.find(name)


def test_the_name_may_choose_published_weights() -> None:
    assert MODELS.find("timm/resnet10t.c3_in1k").pretrained
    assert MODELS.find("timm/resnet10t").load() is timm.models.model_entrypoint("resnet10t")


def test_without_timm_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "timm" else find(name, *a)
    )
    with pytest.raises(ConfigError, match="pip install timm"):
        MODELS.find("timm/resnet10t")
    with pytest.raises(ConfigError, match="pip install timm"):
        build("timm/resnet10t", (3, 32, 32), 4)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, torch.Tensor]:
    """The Hub has weights of resnet10t; these are they."""
    state = timm.create_model("resnet10t").state_dict()
    state = {name: torch.rand_like(v) if v.is_floating_point() else v for name, v in state.items()}
    save_file(state, tmp_path / "model.safetensors")

    def download(repository: str, name: str, **options: bool) -> str:
        assert (repository, name) == ("timm/resnet10t.c3_in1k", "model.safetensors")
        if options.get("local_files_only"):
            raise LocalEntryNotFoundError("not yet")
        return str(tmp_path / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return state


def test_published_weights_are_adapted(published: dict[str, torch.Tensor]) -> None:
    network, notes = build_noted("timm/resnet10t", (1, 64, 64), 5, weights="pretrained")
    state = network.state_dict()
    assert "for 1,000 classes and the data have 5: the classifier is new" in notes[0]
    assert "3 channels and the data have 1: the kernels of the first layer were summed" in notes[1]
    first = "conv1.0.weight"
    assert torch.allclose(state[first], published[first].sum(1, keepdim=True))
    assert state["fc.weight"].shape == (5, 512)
    same = [n for n in published if n not in (first, "fc.weight", "fc.bias")]
    assert all(torch.equal(state[name], published[name]) for name in same)


def test_published_weights_for_all_classes(published: dict[str, torch.Tensor]) -> None:
    network, notes = build_noted("timm/resnet10t", (3, 64, 64), 1000, weights="pretrained")
    state = network.state_dict()
    assert notes == ()
    assert all(torch.equal(state[name], values) for name, values in published.items())


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (LocalEntryNotFoundError("no network"), "could not be downloaded.*weights='fresh'"),
        (socket.gaierror(-2, "unknown"), "could not be downloaded.*gaierror"),
        (EntryNotFoundError("only a pickle"), "not stored as safetensors"),
    ],
)
def test_without_a_network_or_a_safe_file(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(repository: str, name: str, local_files_only: bool = False) -> str:
        raise LocalEntryNotFoundError("not yet") if local_files_only else error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(ModelError, match=message):
        hub.fetch_weights("timm/x", "timm/x.y")
    with pytest.raises(ModelError, match="no published weights"):
        hub.fetch_weights("timm/x", None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), FAMILIES.items())
def test_families_are_scored_trained_exported_and_proven(
    name: str, side: int, tmp_path: Path
) -> None:
    shape = (3, side, side)
    network = build(f"timm/{name}", shape, 5)
    images, labels = batch(shape, 5)
    scores = pe.score(network, [(images, labels)], method="snip")
    masks = scores.masks(0.8)
    masks.apply_to(network)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01)
    torch.nn.functional.cross_entropy(network.train()(images), labels).backward()
    optimiser.step()
    masks.apply_to(network)
    proof = pe.export_onnx(network.eval(), tmp_path / "model.onnx", images[:1], masks=masks)
    assert proof.ok
    assert proof.zeros_expected == sum(int((~kept).sum()) for kept in masks.values())
