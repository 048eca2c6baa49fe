"""Weights are recognised by names and shapes, and the index of all networks is current."""

from __future__ import annotations

from importlib import metadata

import pytest
import torchvision
from hypothesis import given
from hypothesis import strategies as st

from prospr_engine.models import MODELS
from prospr_engine.models.collections import COLLECTIONS, index
from prospr_engine.models.imports.header import TensorInfo
from prospr_engine.models.imports.recognise import Recognised, recognise, sentence
from prospr_engine.models.outline import outline
from prospr_engine.models.signatures import signature

EVERY, MANY = 360, 12
"""Of so many networks, one is built again: in each run of the tests, and in the long one."""


def tensors(network, prefix: str = "") -> dict[str, TensorInfo]:
    return {
        prefix + name: TensorInfo("F32", tuple(tensor.shape))
        for name, tensor in network.state_dict().items()
    }


def of(model: str, shape: tuple[int, int, int], classes: int) -> dict[str, TensorInfo]:
    return tensors(outline(model, shape, classes))


@pytest.mark.parametrize(
    ("model", "shape", "classes"),
    [
        ("resnet20", (3, 32, 32), 10),
        ("lenet5", (1, 28, 28), 10),
        ("torchvision/mobilenet_v3_small", (3, 224, 224), 1000),
        ("torchvision/vit_b_16", (3, 384, 384), 7),
        ("timm/convnext_atto", (5, 64, 64), 3),
    ],
)
def test_a_network_is_recognised(model: str, shape: tuple[int, int, int], classes: int) -> None:
    found = recognise(of(model, shape, classes))
    assert found[0].model == model
    assert found[0].classes == classes
    assert found[0].channels in (shape[0], None)


def test_the_published_network_of_torchvision_itself() -> None:
    """Built by torchvision alone; timm's has the same tensors."""
    first, *others = recognise(tensors(torchvision.models.resnet18()))
    assert first == Recognised("torchvision/resnet18", 1000, 3)
    assert "timm/resnet18" in [other.model for other in others]
    assert sentence((first,)) == "These are weights of torchvision/resnet18 with 1,000 classes"


def test_relatives_are_told_apart() -> None:
    found = {
        name: {one.model for one in recognise(of(f"torchvision/{name}", (3, 224, 224), 10))}
        for name in ("resnet50", "wide_resnet50_2", "resnext50_32x4d")
    }
    assert all(f"torchvision/{name}" in models for name, models in found.items())
    assert not found["resnet50"] & found["wide_resnet50_2"]
    assert not found["resnet50"] & found["resnext50_32x4d"]


SMALL = of("resnet20", (3, 32, 32), 4)


@given(
    st.lists(
        st.sampled_from(["module.", "_orig_mod.", "model.", "net.", "0.", "a.b."]), max_size=4
    ).map("".join),
    st.booleans(),
)
def test_prefixes_do_not_matter(prefix: str, more: bool) -> None:
    given_names = {prefix + name: info for name, info in SMALL.items()}
    if more and prefix:
        given_names["zz.weight"] = TensorInfo("F32", (1,))
    assert [one.model for one in recognise(given_names)] == ["resnet20"]


def test_what_is_no_network_is_not_recognised() -> None:
    assert recognise({"a": TensorInfo("F32", (1,))}) == ()
    assert recognise({**SMALL, "conv.weight": TensorInfo("F32", (1,))}) == ()


def test_the_index_has_the_names_of_the_installed_versions() -> None:
    for collection in COLLECTIONS:
        part = index()[collection.name]
        if part["version"] == metadata.version(collection.name):
            assert list(part["networks"]) == collection.adapter().names()
    assert list(index()["zoo"]["networks"]) == list(MODELS)


def indexed() -> list[tuple[str, object]]:
    prefixes = {"zoo": ""}
    return [
        (prefixes.get(library, f"{library}/") + name, row)
        for library, part in index().items()
        for name, row in part["networks"].items()
    ]


BUILT = [
    pytest.param(model, row, id=model, marks=() if number % EVERY == 0 else pytest.mark.slow)
    for number, (model, row) in enumerate(indexed())
    if number % MANY == 0
]


@pytest.mark.parametrize(("model", "row"), BUILT)
def test_the_index_is_current(model: str, row: object) -> None:
    """If this fails: python -m prospr_engine.models.signatures"""
    assert signature(model) == row
