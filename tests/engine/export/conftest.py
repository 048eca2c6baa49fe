"""One exported file that the tests may copy and spoil."""

from __future__ import annotations

import shutil

import pytest
import torch
from export_networks import build

from prospr_engine.export.export import export_onnx


@pytest.fixture(scope="session")
def _exported(tmp_path_factory):
    model, shape, masks = build("batch_norm")
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    metadata = {"method": "prospr", "sparsity": {"requested": 0.7}, "accuracy": {"pruned": 0.5}}
    export_onnx(model, path, torch.randn(2, *shape), masks=masks, metadata=metadata)
    return path, masks


@pytest.fixture
def exported(_exported, tmp_path):
    """A fresh copy of a proven file, and its masks."""
    path, masks = _exported
    return shutil.copy(path, tmp_path / "model.onnx"), masks
