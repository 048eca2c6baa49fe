"""The table: names, counts and what looking at it costs."""

import subprocess
import sys

import pytest
import torch
import torchvision

from prospr_engine.errors import ConfigError
from prospr_engine.models import MODELS, torchvision_names

# Published counts for 3×32×32 images and ten classes, from other implementations.
PARAMETERS = {
    "mlp": 953_010,
    "lenet5": 62_006,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet18": 11_173_962,
    "resnet50": 23_520_842,
    "vgg16_bn": 14_728_266,
    "vgg19_bn": 20_040_522,
    "wrn28_2": 1_467_610,
}


def on_meta(name, shape=(3, 32, 32), classes=10):
    with torch.device("meta"):
        return MODELS.find(name).load()(shape, classes)


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameters_are_the_published_ones(name, count):
    assert sum(p.numel() for p in on_meta(name).parameters()) == count


@pytest.mark.parametrize("name", MODELS)
def test_rows_have_the_true_count(name):
    assert MODELS[name].parameters == sum(p.numel() for p in on_meta(name).parameters())


def test_resnet20_has_the_papers_prunable_weights():
    weights = [p for p in on_meta("resnet20").parameters() if p.ndim > 1]
    assert sum(p.numel() for p in weights) == 268_336


def test_lenets_on_mnist_are_the_classic_ones():
    counts = [
        sum(p.numel() for p in on_meta(name, (1, 28, 28)).parameters())
        for name in ("mlp", "lenet5")
    ]
    assert counts == [266_610, 61_706]


def test_small_cnn_is_small():
    assert 50_000 < MODELS["small_cnn"].parameters < 100_000


@pytest.mark.parametrize("name", MODELS)
def test_every_row_is_filled(name):
    spec = MODELS[name]
    assert spec.name == name
    assert spec.label
    assert spec.description.endswith(".")
    assert 0 < spec.lr <= 0.1
    assert not spec.pretrained
    has_norm = any(isinstance(m, torch.nn.BatchNorm2d) for m in on_meta(name).modules())
    assert (spec.lr == 0.1) == has_norm


def test_own_networks_other_than_torchvisions_do_not_import_it():
    code = (
        "import sys\n"
        "from prospr_engine.models.build import build\n"
        "build('resnet20', (3, 8, 8), 3)\n"
        "print('torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("resnet-20", "'resnet20'"),
        ("Small_CNN", "'small_cnn'"),
        ("torchvision/resnet81", "'torchvision/resnet18'"),
        ("torchvision/MobileNet_V2", "'torchvision/mobilenet_v2'"),
        ("mobilenet_v2", "There is torchvision/mobilenet_v2"),
        ("nothing like it", "torchvision/<name> and timm/<name>"),
        ("torchvision/", "torchvision/resnet18"),
        ("", "small_cnn"),
        (None, "small_cnn"),
    ],
)
def test_an_unknown_name_is_answered_with_a_known_one(name, suggestion):
    with pytest.raises(ConfigError, match=suggestion):
        MODELS.find(name)
    assert name not in MODELS


def test_torchvision_rows_come_from_torchvision():
    names = torchvision_names()
    assert names == sorted(names)
    assert {"resnet18", "vit_b_16", "maxvit_t"} <= set(names)
    assert not any("quantized" in name or "r3d" in name or "rcnn" in name for name in names)
    spec = MODELS.find("torchvision/resnet18")
    assert (spec.parameters, spec.pretrained) == (11_689_512, True)
    assert spec.paper == "https://arxiv.org/abs/1512.03385"
    for name in names:
        row = MODELS[f"torchvision/{name}"]
        assert row.load() is torchvision.models.get_model_builder(name)
        assert 1 <= row.min_image_size <= 75
        assert row.paper.startswith("http")
    assert not any("/" in name for name in MODELS), "iterating stays within the own zoo"
