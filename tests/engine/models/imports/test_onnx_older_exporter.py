"""The usual architectures, as the older exporter of PyTorch writes them: small ones in every run of
the tests."""

from __future__ import annotations

import pytest
from onnx_files import assert_same_answers, legacy
from onnx_networks import LARGE, SMALL, network_and_images
from torch.onnx.errors import SymbolicValueError

WAYS = [((9, False), (17, True)), ((11, True), (13, False))]
"""Opsets, and whether the number of images is free: a network is exported in one of the pairs."""


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("free", [False, True])
def test_small_networks_of_the_older_exporter(name, free):
    network, x = network_and_images(name)
    assert_same_answers(legacy(network, x[:1], free=free), x)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "opset", "free"),
    [(name, *way) for place, name in enumerate(LARGE) for way in WAYS[place % 2]],
)
def test_networks_of_the_older_exporter(name, opset, free):
    network, x = network_and_images(name)
    try:
        model = legacy(network, x[:1], opset=opset, free=free)
    except Exception as error:
        # Its operators, as of adaptive pooling, do not suit every size in any opset.
        if opset > 11 and not isinstance(error, SymbolicValueError):
            raise
        pytest.skip(f"it cannot be exported to opset {opset}: {error}"[:200])
    assert_same_answers(model, x)
