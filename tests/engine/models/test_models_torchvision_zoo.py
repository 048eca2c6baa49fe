"""Torchvision's networks: fresh, pretrained from a file, and without a network."""

import errno
import shutil
import urllib.error
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from prospr_engine.errors import ModelError, ResourceError
from prospr_engine.models import MODELS, torchvision_names
from prospr_engine.models import torchvision_zoo as zoo
from prospr_engine.models.build import build, build_noted

QUICK = {
    "resnet18": 32,
    "mobilenet_v2": 32,
    "googlenet": 32,
    "squeezenet1_0": 32,
    "shufflenet_v2_x0_5": 8,
    "efficientnet_b0": 32,
    "regnet_y_400mf": 32,
}


def shapes_of_answers(model, shape):
    x = torch.zeros(2, *shape, device=next(model.parameters()).device)
    with torch.no_grad():
        return [tuple(model.train(mode)(x).shape) for mode in (True, False)]


@pytest.mark.parametrize("name", QUICK)
def test_grey_images_and_own_classes(name):
    shape = (1, QUICK[name], QUICK[name])
    model = build(f"torchvision/{name}", shape, 7)
    assert shapes_of_answers(model, shape) == [(2, 7), (2, 7)]


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("inception_v3", 96),
        ("vit_b_16", 32),
        ("vit_b_16", 64),
        ("swin_t", 32),
        ("maxvit_t", 64),
        ("convnext_tiny", 32),
        ("densenet121", 32),
        ("alexnet", 64),
        ("vgg11", 32),
    ],
)
def test_larger_networks_answer_on_the_meta_device(name, side):
    with torch.device("meta"):
        model = zoo.build(name, (2, side, side), 5)
    assert shapes_of_answers(model, (2, side, side)) == [(2, 5), (2, 5)]


@pytest.mark.slow
@pytest.mark.parametrize("name", torchvision_names())
def test_every_network_answers_at_its_smallest_size_and_at_224(name):
    smallest = MODELS.find(f"torchvision/{name}").min_image_size
    # RegNets compute their widths with tensors while they are built, which needs numbers.
    device = "cpu" if name.startswith("regnet") else "meta"
    for side in (smallest, 224):
        with torch.device(device):
            model = zoo.build(name, (1, side, side), 7).to("meta")
        assert shapes_of_answers(model, (1, side, side)) == [(2, 7), (2, 7)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["alexnet", "convnext_tiny", "densenet121", "googlenet"])
def test_smallest_size_is_the_smallest(name):
    side = MODELS.find(f"torchvision/{name}").min_image_size - 1
    with torch.device("meta"):
        model = zoo.build(name, (1, side, side), 7)
    with pytest.raises(RuntimeError):
        shapes_of_answers(model, (1, side, side))


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """An empty folder of downloads, and no way to fill it from the network."""

    def no_network(url, *args, **kwargs):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    monkeypatch.setattr(torch.hub, "download_url_to_file", no_network)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def put_weights(folder, name, **options):
    """Save a network's weights as the file that torchvision would download; return it."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = torchvision.models.get_model(name, weights=None, **options)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
    published = torchvision.models.get_model_weights(name).DEFAULT
    torch.save(model.state_dict(), folder / Path(published.url).name)
    return model.eval()


def test_without_a_connection_the_error_names_a_remedy(checkpoints):
    with pytest.raises(ModelError) as caught:
        build("torchvision/squeezenet1_1", (3, 32, 32), 10, weights="pretrained")
    text = str(caught.value)
    assert "https://download.pytorch.org/models/squeezenet1_1" in text
    assert "Name or service not known" in text
    assert str(checkpoints / "squeezenet1_1") in text
    assert "weights='fresh'" in text


def test_a_full_disk_is_reported_as_such(checkpoints, monkeypatch):
    def no_room(url, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(torch.hub, "download_url_to_file", no_room)
    with pytest.raises(ResourceError, match="disk is full"):
        build("torchvision/squeezenet1_1", (3, 32, 32), 10, weights="pretrained")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"], ids=["empty", "web page"])
def test_a_damaged_file_is_named(checkpoints, content):
    published = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT
    (checkpoints / Path(published.url).name).write_bytes(content)
    with pytest.raises(ModelError, match=r"cannot be read from .*squeezenet1_1.*delete the file"):
        build("torchvision/squeezenet1_1", (3, 32, 32), 10, weights="pretrained")


def test_weights_of_another_network_are_refused(checkpoints):
    published = torchvision.models.get_model_weights("squeezenet1_1").DEFAULT
    torch.save({"weight": torch.zeros(2)}, checkpoints / Path(published.url).name)
    with pytest.raises(ModelError, match="cannot be read"):
        build("torchvision/squeezenet1_1", (3, 32, 32), 10, weights="pretrained")


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_pretrained_weights_are_kept_and_the_head_is_new(checkpoints, name):
    original = put_weights(checkpoints, name).state_dict()
    model, notes = build_noted(f"torchvision/{name}", (3, 32, 32), 7, weights="pretrained")
    (note,) = notes
    assert note.startswith("The weights are for 1,000 classes and the data have 7: the classifier")
    assert shapes_of_answers(model, (3, 32, 32)) == [(2, 7), (2, 7)]
    state = model.state_dict()
    changed = [key for key in state if state[key].shape != original[key].shape]
    assert 1 <= len(changed) <= 2
    assert changed[0].removesuffix(".weight") == changed[-1].removesuffix(".bias")
    # The new head answers right away; all else is as published (running means aside, which
    # the forward pass in train mode moved).
    parameters = [key for key, _ in model.named_parameters() if key not in changed]
    assert all(torch.equal(state[key], original[key]) for key in parameters)


def test_the_new_head_follows_the_seed(checkpoints):
    put_weights(checkpoints, "squeezenet1_1")
    heads = [
        build("torchvision/squeezenet1_1", (3, 32, 32), 7, seed, "pretrained").classifier[1].weight
        for seed in (1, 1, 2)
    ]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small"])
def test_pretrained_networks_see_grey_images_as_they_saw_colour(checkpoints, name):
    original = put_weights(checkpoints, name)
    # 1,000 classes: the published head stays, so that whole outputs can be compared.
    model = build(f"torchvision/{name}", (1, 32, 32), 1000, weights="pretrained").eval()
    x = torch.randn(2, 1, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(model(x), original(x.expand(-1, 3, -1, -1)))


def test_other_channel_counts_keep_the_size_of_the_response(checkpoints):
    original = put_weights(checkpoints, "squeezenet1_1").features[0]
    model = build("torchvision/squeezenet1_1", (6, 32, 32), 7, weights="pretrained")
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        doubled = model.features[0](torch.cat([x, x], 1))
        torch.testing.assert_close(doubled, original(x))


def test_googlenet_loses_its_auxiliary_heads_and_input_transform(checkpoints):
    original = put_weights(checkpoints, "googlenet", aux_logits=True, init_weights=True)
    model = build("torchvision/googlenet", (1, 32, 32), 7, weights="pretrained")
    assert shapes_of_answers(model, (1, 32, 32)) == [(2, 7), (2, 7)]
    assert (model.aux1, model.aux2, model.transform_input) == (None, None, False)
    # The published network scales its input before the first convolution.
    x = torch.randn(2, 1, 32, 32)
    scales = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1) / 0.5
    with torch.no_grad():
        torch.testing.assert_close(
            model.conv1.conv(x), original.conv1.conv(x.expand(-1, 3, -1, -1) * scales)
        )


@pytest.mark.slow
def test_inception_loses_its_auxiliary_head(checkpoints):
    put_weights(checkpoints, "inception_v3", init_weights=True)
    model = build("torchvision/inception_v3", (3, 96, 96), 7, weights="pretrained")
    assert shapes_of_answers(model, (3, 96, 96)) == [(2, 7), (2, 7)]
    assert not any("Aux" in name for name in model.state_dict())


def test_a_download_leaves_standard_output_alone(checkpoints, monkeypatch, tmp_path, capsys):
    put_weights(checkpoints, "squeezenet1_1")
    (file,) = checkpoints.iterdir()
    served = Path(shutil.move(file, tmp_path))
    monkeypatch.setattr(
        torch.hub, "download_url_to_file", lambda url, to, *a, **k: shutil.copy(served, to)
    )
    build("torchvision/squeezenet1_1", (3, 32, 32), 10, weights="pretrained")
    assert capsys.readouterr().out == ""
    assert file.exists()


def test_pretrained_maxvit_names_its_only_size(checkpoints):
    with pytest.raises(ModelError, match="224×224 px only"):
        build("torchvision/maxvit_t", (3, 64, 64), 10, weights="pretrained")


@pytest.mark.slow
def test_pretrained_vit_at_another_size(checkpoints):
    original = put_weights(checkpoints, "vit_b_32").state_dict()
    model = build("torchvision/vit_b_32", (1, 64, 64), 7, weights="pretrained")
    state = model.state_dict()
    assert state["encoder.pos_embedding"].shape == (1, 5, 768)
    # The corner patches of both grids coincide.
    old, new = original["encoder.pos_embedding"], state["encoder.pos_embedding"]
    torch.testing.assert_close(new[:, [0, 1, 4]], old[:, [0, 1, 49]])
    summed = original["conv_proj.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(state["conv_proj.weight"], summed)
