"""Do the masks of a run match an exported file?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prospr_engine.config import CHANNELS
from prospr_engine.errors import DataError
from prospr_engine.export import provenance
from prospr_engine.export.proof import Check
from prospr_engine.export.provenance import LayerRecord, Provenance
from prospr_engine.format import counted

MASKS_FILE = "masks.safetensors"


def check_masks(
    weights: Mapping[str, np.ndarray],
    record: Provenance,
    masks: Mapping[str, Any] | None,
    path: Path,
) -> list[Check]:
    """One check of the ``masks``, or of those in ``masks.safetensors`` beside the file at ``path``,
    against the ``weights`` in the file and its ``record``; none if there are no masks."""
    beside = path.parent / MASKS_FILE
    if masks is None and (record.metadata.get("network") == "dense" or not beside.is_file()):
        return []  # The masks beside a dense network belong to the pruned one.
    source = "The masks" if masks is not None else MASKS_FILE
    try:
        given = _load_masks(beside) if masks is None else masks
        found = {name: _as_bits(name, mask) for name, mask in given.items()}
        if masks is None and record.metadata.get("kind") == CHANNELS:
            return [_check_channels(found, weights, record)]
        problem = _mask_problem(found, weights, record)
    except DataError as error:
        problem = str(error)
    if problem:
        return [Check("masks", False, f"{source} do not match the file: {problem}")]
    removed = any(not mask.all() for mask in found.values())
    what = "every weight they remove is zero" if removed else "they keep every weight"
    return [Check("masks", True, f"{source} match the file; {what}.")]


def _check_channels(
    masks: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray], record: Provenance
) -> Check:
    """Compare the masks of the whole network with the layers that the removed channels left."""
    for name in sorted(set(masks) ^ {*(layer.name for layer in record.layers), *record.unused}):
        text = f"only the {'masks have' if name in masks else 'file has'} a layer {name}."
        return Check("masks", False, f"{MASKS_FILE} does not match the file: {text}")
    removed = 0
    for layer in record.layers:
        kept, values = masks[layer.name], layer_values(weights, layer)
        rows, total = int(kept.reshape(len(kept), -1).any(1).sum()), int(kept.sum())
        if values is None or (rows, total) != (len(values), values.size):
            text = f"it leaves {layer.name} {total:,} weights in {rows:,} channels"
            there = "" if values is None else f", but the file has the shape {values.shape}"
            return Check("masks", False, f"{MASKS_FILE} does not match the file: {text}{there}.")
        removed += len(kept) - rows
    return Check(
        "masks",
        True,
        f"{counted(removed, 'output channel was', 'output channels were')} removed; every layer "
        f"has as many as {MASKS_FILE} keeps, and no others.",
    )


def _mask_problem(
    masks: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray], record: Provenance
) -> str | None:
    layers: dict[str, LayerRecord] = {layer.name: layer for layer in record.layers}
    for name in sorted(set(layers) ^ (set(masks) - set(record.unused))):
        return f"only the {'masks have' if name in masks else 'file has'} a layer {name}."
    for name, layer in layers.items():
        mask, values = masks[name], layer_values(weights, layer)
        if values is None or mask.shape != values.shape:
            return f"the mask and the weight {name} differ in shape."
        nonzero = int(((values != 0) & ~mask).sum())
        if nonzero:
            return f"{nonzero:,} pruned weights of {name} are not zero in the file."
        if provenance.bits_digest(mask) != layer.mask:
            return f"the mask of {name} differs from the exported one."
    return None


def _load_masks(path: Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(path.read_bytes())
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise DataError("the masks cannot be read.") from None


def _as_bits(name: str, mask: Any) -> np.ndarray:
    bits = np.asarray(mask.cpu() if hasattr(mask, "cpu") else mask)
    # NumPy takes any byte of a damaged file for a boolean.
    if bits.dtype not in (np.bool_, np.uint8) or (bits.view(np.uint8) > 1).any():
        raise DataError(f"the mask of {name} is not boolean.")
    return bits.astype(np.bool_)


def layer_values(weights: Mapping[str, np.ndarray], layer: LayerRecord) -> np.ndarray | None:
    """The weight of ``layer`` among the ``weights`` of a file; None if it is missing."""
    try:
        return layer.values(weights)
    except ValueError:
        return weights.get(layer.tensor)  # its shape will be found to be wrong
