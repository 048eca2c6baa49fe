"""Does an exported file match its record? Needs onnx, onnxruntime and numpy, but no torch.

The file is run in ONNX Runtime, so only verify files that you trust. For uploads from strangers,
run this in a separate process with a memory limit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from prospr_engine.config import CHANNELS
from prospr_engine.errors import ExportError
from prospr_engine.export import node_counts, onnx_file, provenance, runtime
from prospr_engine.export.encodings import ENCODINGS, EncodingSpec
from prospr_engine.export.interface import Interface
from prospr_engine.export.mask_checks import check_masks, layer_values
from prospr_engine.export.own_graph import constants_of
from prospr_engine.export.proof import Check, LayerProof, Proof
from prospr_engine.export.provenance import LayerRecord, Provenance
from prospr_engine.format import brief, percent

USUAL = Interface()


def verify(path: str | Path, masks: Mapping[str, Any] | None = None) -> Proof:
    """Check the ONNX file at ``path`` against its record and the masks.

    ``masks`` are boolean arrays or tensors by parameter name, True where a weight is kept; without
    them, a ``masks.safetensors`` beside the file is used if there is one. A file that fails a check
    gives a ``Proof`` whose ``ok`` is False. Raises ``ExportError`` if the file cannot be checked at
    all: missing, not ONNX, not from this engine, or from a newer one; and ``ConfigError`` if its
    encoding is unknown.
    """
    path = Path(path)
    data = onnx_file.read_bytes(path)
    model = onnx_file.parse(data, path)
    record, sealed = provenance.read(model)
    encoding = ENCODINGS.find(record.encoding)
    decode = encoding.load_reader()

    weights: dict[str, np.ndarray] = {}
    agreement = None
    structure = _check_structure(model, record, len(data))
    checks = [structure]
    # A file that may open other files is neither checked further nor run.
    if structure.ok:
        # Exporters of others may describe shapes in a way that the full check refuses.
        full = encoding.full_check and record.own_graph is None
        standard = _check_onnx(data, model, full)
        checks += [standard, _check_record(model, record, sealed)]
        try:
            weights = decode(model)
            if record.own_graph:
                weights = constants_of(model) | weights
        except ExportError as error:
            checks.append(Check("weights", False, str(error)))
        else:
            checks += [
                _check_graph(model, record),
                _check_weights(weights, record),
                _check_zeros(weights, record),
                *node_counts.check(model, record.layers),
            ]
            checks += check_masks(weights, record, masks, path)
    layers = tuple(
        LayerProof(layer.name, layer.total, layer.kept, _zeros(weights, layer))
        for layer in record.layers
    )
    del weights, model  # ONNX Runtime is about to copy all weights
    if structure.ok and standard.ok:
        check, agreement = _check_logits(data, record, encoding)
        checks.append(check)
    return Proof(
        ok=all(check.ok for check in checks),
        checks=tuple(checks),
        path=str(path),
        bytes=len(data),
        max_abs_error=agreement.max_abs_error if agreement else None,
        tolerance=agreement.tolerance if agreement else None,
        zeros=sum(layer.zeros or 0 for layer in layers),
        zeros_expected=sum(layer.pruned for layer in record.layers),
        zeros_kept=sum(layer.kept_zero for layer in record.layers),
        layers=layers,
        provenance=record.to_dict(),
    )


def _check_structure(model: onnx.ModelProto, record: Provenance, size: int) -> Check:
    problem = onnx_file.structure_problem(model, record.interface, record.input_shape)
    batch = record.interface.batch
    batches = "any batch size" if batch is None else f"a batch size of {batch}"
    return Check(
        "file",
        problem is None,
        problem
        or f"A self-contained file of {size:,} bytes with standard operators and {batches}.",
    )


def _check_onnx(data: bytes, model: onnx.ModelProto, full: bool) -> Check:
    try:
        onnx.checker.check_model(data, full_check=full)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), "")[:300].rstrip(".")
        return Check("onnx", False, f"The ONNX checker found an error: {reason}.")
    version = max(opset.version for opset in model.opset_import)
    shapes = "" if full else ", shapes apart"
    return Check("onnx", True, f"The ONNX checker found no errors{shapes} (opset {version}).")


def _check_record(model: onnx.ModelProto, record: Provenance, sealed: bool) -> Check:
    """Files of versions before 0.5 have no digest of the rest: there only what no version wrote is
    noticed."""
    if not sealed:
        return Check("record", False, "The record was changed after export; do not trust it.")
    rest = record.digests.get("rest")
    added = provenance.unrecorded(model) if not (rest and record.own_graph) else []
    if added or (rest and rest != provenance.rest_digest(model)):
        names = f" ({', '.join(map(brief, added))})" if added else ""
        text = (
            f"The file says something that its record does not cover{names}: it was changed after "
            "export."
        )
        return Check("record", False, text)
    return Check("record", True, "The record agrees with its own seal.")


def _check_graph(model: onnx.ModelProto, record: Provenance) -> Check:
    if record.digests.get("graph") == provenance.graph_digest(model):
        text = f"The {len(model.graph.node)} operators are as recorded."
        return Check("graph", True, text)
    return Check(
        "graph", False, "The operators were changed after export; export the network again."
    )


def _check_weights(weights: Mapping[str, np.ndarray], record: Provenance) -> Check:
    if record.digests.get("weights") == provenance.weights_digest(weights):
        text = f"All {len(weights)} tensors are as recorded, bit for bit."
        return Check("weights", True, text)
    return Check(
        "weights", False, "Some weights were changed after export; export the network again."
    )


def _check_zeros(weights: Mapping[str, np.ndarray], record: Provenance) -> Check:
    """Zeros in the file against the recorded masks, layer by layer."""
    for layer in record.layers:
        values = layer_values(weights, layer)
        if values is None or values.shape != layer.shape:
            shape = "missing" if values is None else f"of shape {values.shape}"
            text = f"{layer.name} is {shape}, but was exported with shape {layer.shape}."
            return Check("zeros", False, text)
        zeros = int((values == 0).sum())
        if zeros != layer.zeros:
            text = f"{layer.name} has {zeros:,} zeros, but {layer.zeros:,} are recorded."
            return Check("zeros", False, text)
        # If no kept weight is zero, the pattern of nonzeros is the mask itself.
        digest = provenance.bits_digest(values != 0)
        if digest != layer.pattern or (layer.kept_zero == 0 and digest != layer.mask):
            text = f"{layer.name} has as many zeros as its mask, but in other places."
            return Check("zeros", False, text)
    pruned = sum(layer.pruned for layer in record.layers)
    total = sum(layer.total for layer in record.layers)
    kept_zero = sum(layer.kept_zero for layer in record.layers)
    lost = ""
    if record.unused:
        lost = (
            f" {', '.join(record.unused)}: not in the file, because the network's output does not "
            "depend on it."
        )
    where = f"in {len(record.layers)} layer{'s' * (len(record.layers) != 1)}"
    if pruned:
        also = f", besides {kept_zero:,} kept weights that happen to be zero" if kept_zero else ""
        text = f"{pruned:,} of {total:,} weights {where} are pruned, and exactly these are zero in "
        return Check("zeros", True, f"{text}the file{also}.{lost}")
    whole = "No weights are pruned: all"
    if record.metadata.get("kind") == CHANNELS:
        whole = f"The removed channels{_share(record)} are not in the file: all other"
    also = f", {kept_zero:,} of which happen to be zero" if kept_zero else ""
    return Check("zeros", True, f"{whole} {total:,} weights {where} are kept{also}.{lost}")


def _share(record: Provenance) -> str:
    """How much of the network the removed channels were, if the record says so."""
    sparsity = record.metadata.get("sparsity")
    share = sparsity.get("achieved") if isinstance(sparsity, dict) else None
    known = isinstance(share, float) and 0 < share < 1
    return f", with {percent(share)} of the weights," if known and share else ""


def _check_logits(
    data: bytes, record: Provenance, encoding: EncodingSpec
) -> tuple[Check, runtime.Agreement | None]:
    inputs = [
        provenance.reference_input(len(logits), record.input_shape) for logits in record.references
    ]
    try:
        found = runtime.run(data, inputs, record.interface.output)
        agreement = runtime.compare(record.references, found, encoding.tolerance)
    except ExportError as error:
        return Check("logits", False, str(error)), None
    if not encoding.calibrated:
        return logits_check("logits", agreement, record.interface), agreement
    if record.error is None:
        return Check("logits", False, "The record does not say how far the file is off."), None
    check = logits_check("own", agreement, record.interface)
    was = f" On inputs of calibration it was off by at most {record.error:.2g} from PyTorch's."
    return (
        dataclasses.replace(check, name="logits", text=check.text + was),
        dataclasses.replace(agreement, max_abs_error=record.error),
    )


def logits_check(name: str, agreement: runtime.Agreement, interface: Interface = USUAL) -> Check:
    """The comparison of ONNX Runtime's logits with PyTorch's."""
    figures = (
        f"difference at most {agreement.max_abs_error:.2g} ({agreement.tolerance:.2g} is "
        f"allowed), same class for {agreement.same_class} of {agreement.images} images"
    )
    if agreement.tiny:
        figures += "; the logits are so close to zero that this says little"
    batches = " and ".join(map(str, interface.batches))
    places = {"sample": "the sample", "calibration": "inputs of calibration"}
    where = places.get(name, "recorded inputs")
    other = "its own answers at export" if name == "own" else "PyTorch"
    if agreement.ok:
        text = f"ONNX Runtime matches {other} on {where}, {batches} at a time: {figures}."
    else:
        text = f"ONNX Runtime does not match {other} on {where}: {figures}. Do not use the file."
    return Check(name, agreement.ok, text)


def _zeros(weights: Mapping[str, np.ndarray], layer: LayerRecord) -> int | None:
    values = layer_values(weights, layer)
    return None if values is None else int((values == 0).sum())
