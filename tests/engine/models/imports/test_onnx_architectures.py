"""The usual architectures, as the current exporter of PyTorch writes them."""

from __future__ import annotations

import pytest
from onnx_files import assert_same_answers, current
from onnx_networks import LARGE, SMALL, network_and_images

WAYS = [(True, True), (True, False), (False, True)]
"""Optimised or not, and whether the number of images is free: small networks are exported in all
ways, large ones in one."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "optimize", "free"),
    [
        *((name, *way) for name in SMALL for way in WAYS),
        *((name, *WAYS[place % len(WAYS)]) for place, name in enumerate(LARGE)),
    ],
)
def test_networks_of_the_current_exporter(name, optimize, free):
    network, x = network_and_images(name)
    imported = assert_same_answers(current(network, x[:1], optimize=optimize, free=free), x)
    assert len(imported.skeleton) < 200_000


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_newest_operators(name):
    network, x = network_and_images(name)
    assert_same_answers(current(network, x[:1], opset=23), x)
