"""Networks that a run saved: read back, and exported again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from prospr_engine.errors import DataError
from prospr_engine.export.export import export_onnx
from prospr_engine.export.proof import Proof
from prospr_engine.io.tensors import load_tensors
from prospr_engine.models.build import build
from prospr_engine.pruning.masks import Masks


def load_network(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network in the file ``pruned.safetensors`` or ``dense.safetensors`` of a run,
    whatever it is called now, and its label.

    Raises ``DataError`` if there is no such file, or if it was changed.
    """
    state, label = load_tensors(path)
    try:
        model = build(label["model"], tuple(label["shape"]), len(label["classes"]))
        model.load_state_dict(state)
        if hasattr(model, "transform_input"):
            # Inception and GoogLeNet keep this half of their input scaling outside the weights.
            model.transform_input = label["transform_input"]
    except (KeyError, RuntimeError) as error:
        raise DataError(
            f"{path} is not the network that its label says ({str(error).splitlines()[0]}); "
            "run the settings again."
        ) from None
    return model, label


def export_again(
    folder: str | Path, network: str, path: str | Path, encoding: str = "dense"
) -> Proof:
    """Export the saved ``network`` ("dense" or "pruned") of the run in ``folder`` to ``path``
    with the label it got when it was trained. Raises ``DataError`` if the folder has none."""
    saved = Path(folder) / f"{network}.safetensors"
    if not saved.is_file():
        raise DataError(
            f"{folder} holds no trained network ({saved.name} is missing); give the folder that "
            "`run` wrote, after it ended."
        )
    model, label = load_network(saved)
    masks = Masks.load(Path(folder) / "masks.safetensors") if network == "pruned" else None
    sample = torch.zeros(1, *label["shape"])
    return export_onnx(model, path, sample, encoding=encoding, masks=masks, metadata=label)
