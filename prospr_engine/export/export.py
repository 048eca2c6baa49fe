"""From a PyTorch network to a verified ONNX file."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from prospr_engine.errors import ConfigError, ExportError
from prospr_engine.export import node_counts, provenance, runtime
from prospr_engine.export.encodings import ENCODINGS, PRIMARY, EncodingSpec
from prospr_engine.export.interface import Interface
from prospr_engine.export.onnx_file import inputs_of
from prospr_engine.export.own_graph import constants_of
from prospr_engine.export.proof import Check, Proof
from prospr_engine.export.provenance import LayerRecord, Provenance
from prospr_engine.export.traced import Traced, in_batches, trace_network
from prospr_engine.export.verify import logits_check, verify
from prospr_engine.io.files import disk_error, write_atomically


def export_onnx(
    model: nn.Module,
    path: str | Path,
    sample: Tensor,
    *,
    encoding: str = "dense",
    masks: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, Any] | None = None,
    calibration: Sequence[Any] | None = None,
) -> Proof:
    """Write ``model`` as a single ONNX file at ``path``, verify it, and return the proof.

    ``sample`` is one input (C, H, W) or a batch (N, C, H, W), or whatever the network takes
    instead. ``masks`` are boolean tensors by parameter name, True where a weight is kept,
    already applied to the model; without them the zeros of the prunable weights count as
    pruned. ``metadata`` (JSON-ready: method, sparsity, seed, accuracy …) is stored in the file.
    ``calibration`` are batches of inputs (N, C, H, W), alone or with classes, for encodings that
    need them ("int8"): a hundred images like those that the network will get.
    The file has the input "input" and the output "logits", any batch size, opset 20, and every
    weight under its parameter's name; weights shared by layers appear once. Names in a file are
    unique, so a parameter or buffer of the model itself that is called "input" or "logits" is
    stored as "input_1" or "logits_1". The model is not modified.

    The file appears at ``path`` only once it is verified; one that fails is kept as
    ``<name>.rejected`` for inspection, and an earlier file stays. Raises ``ConfigError`` for an
    unknown encoding, metadata that are not JSON or missing calibration, ``ModelError`` if masks,
    sample and model do not fit, ``ResourceError`` if the file cannot be written, ``ExportError``
    otherwise.
    """
    ENCODINGS.find(encoding)
    provenance.check_metadata(metadata or {})
    traced = trace_network(model, sample, masks)
    return write_file(traced, path, encoding, metadata, calibration)


def write_file(
    traced: Traced,
    path: str | Path,
    encoding: str,
    metadata: Mapping[str, Any] | None = None,
    calibration: Sequence[Any] | None = None,
) -> Proof:
    """Write and verify a file of a network that was traced before: see ``export_onnx``."""
    spec = ENCODINGS.find(encoding)
    checked_metadata = provenance.check_metadata(metadata or {})
    more, inputs, expected = [], traced.inputs, traced.expected
    interface = traced.interface
    # If the record says so, all constants are looked through for weights when it is verified.
    own = interface if traced.template or interface != Interface() else None
    if spec.calibrated:
        more = [_inputs(calibration, traced, spec)]
        # Such a file is near only for inputs like these.
        inputs = in_batches(more[0][0], interface.batches)
        expected = tuple(traced.answers(inputs))
    model = traced.model()
    if traced.template and encoding != PRIMARY:
        _prepare(model, spec)
    proto = spec.load()(model, _in_file(traced, model), *more)
    weights = spec.load_reader()(proto)
    if own is not None:
        weights = constants_of(proto) | weights
    layers = _layers(weights, traced)
    node_counts.write(proto, layers)
    references, error = traced.references, None
    if spec.calibrated:
        # What it answers to numbers that are like no image, no tolerance can say: its own answers.
        noise = [provenance.reference_input(n, traced.shape) for n in interface.batches]
        near = runtime.run(proto.SerializeToString(), inputs, interface.output)
        references = tuple(runtime.run(proto.SerializeToString(), noise, interface.output))
        error = runtime.compare(expected, near, spec.tolerance).max_abs_error
    record = Provenance(
        encoding=encoding,
        input_shape=traced.shape,
        layers=layers,
        unused=tuple(name for name in traced.masks if name not in {each.name for each in layers}),
        digests={
            "weights": provenance.weights_digest(weights),
            "graph": provenance.graph_digest(proto),
            "rest": provenance.rest_digest(proto),
        },
        references=references,
        error=error,
        metadata=checked_metadata,
        own_graph=own,
    )
    provenance.write(record, proto)
    data = proto.SerializeToString()
    del proto, weights  # each is another copy of all weights
    found = runtime.run(data, inputs, interface.output)
    agreement = runtime.compare(expected, found, spec.tolerance)
    live = logits_check("calibration" if spec.calibrated else "sample", agreement, interface)
    return _write_verified(data, Path(path), traced.masks, live)


def _inputs(batches: Sequence[Any] | None, traced: Traced, spec: EncodingSpec) -> list[np.ndarray]:
    """The calibration batches of an encoding that needs them, with or without classes."""
    if batches is None or not len(batches):
        raise ConfigError(
            f"The encoding {spec.name!r} rounds by what the network sees; give calibration=batches "
            "with some inputs like those that it will get, as for pe.score."
        )
    found = []
    for batch in batches:
        inputs = batch[0] if isinstance(batch, tuple | list) and len(batch) else batch
        fits = isinstance(inputs, Tensor) and inputs.ndim > 1 and len(inputs)
        if not fits or tuple(inputs.shape[1:]) != traced.own_shape or not inputs.isfinite().all():
            shape = ", ".join(map(str, traced.own_shape))
            raise ConfigError(
                f"The calibration batches do not fit the network: give tensors (N, {shape}) of "
                "finite numbers, alone or with classes."
            )
        found.append(inputs.detach().to("cpu", torch.float32).numpy())
    interface = traced.interface
    if interface.batch is None:
        return [interface.arranged(batch) for batch in found]
    images = interface.arranged(np.concatenate(found))
    count = max(1, len(images) // interface.batch)
    places = np.arange(count * interface.batch) % len(images)
    return np.split(images[places], count)


def _prepare(model: onnx.ModelProto, spec: EncodingSpec) -> None:
    """Make a user's own graph ready for an encoding. Raises ``ExportError`` if it is of an opset or
    a format that lacks what the encoding needs."""
    opset = max(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    if opset < spec.opset or model.ir_version < spec.ir_version:
        raise ExportError(
            f"The network's own graph has opset {opset}, and this encoding needs opset "
            f"{spec.opset}; convert the file with onnx.version_converter, or export it again."
            if opset < spec.opset
            else f"The network's own graph is in version {model.ir_version} of the format, and "
            f"this encoding needs version {spec.ir_version}; export the file again."
        )
    # Older formats list the weights among the inputs: what is packed or computed is none.
    fed = inputs_of(model.graph)
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in fed]
    model.graph.ClearField("input")
    model.graph.input.extend(kept)


def _in_file(traced: Traced, model: onnx.ModelProto) -> Mapping[str, np.ndarray]:
    """The masks by the names and in the layout of the file's tensors."""
    if not traced.template:
        return traced.masks
    shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    placed = {traced.places[name]: mask for name, mask in traced.masks.items()}
    return {
        place.tensor: place.back(mask, shapes[place.tensor])
        for place, mask in placed.items()
        if place.tensor in shapes
    }


def _layers(weights: Mapping[str, np.ndarray], traced: Traced) -> tuple[LayerRecord, ...]:
    """The pruned layers among the ``weights`` of a file."""
    layers = []
    for name, mask in traced.masks.items():
        place = traced.places.get(name)
        own = weights.get(place.tensor if place else name)
        if own is None:
            continue
        try:
            alive = (place.view(own) if place else own) != 0
        except ValueError:
            raise ExportError(f"{name} has another shape in the file.") from None
        layers.append(
            LayerRecord(
                name=name,
                shape=mask.shape,
                kept=int(mask.sum()),
                kept_zero=int((mask & ~alive).sum()),
                mask=provenance.bits_digest(mask),
                pattern=provenance.bits_digest(alive),
                place=place,
            )
        )
    return tuple(layers)


def _write_verified(data: bytes, path: Path, masks: Mapping[str, np.ndarray], live: Check) -> Proof:
    """Write beside ``path``, verify the file on disk, and only then rename it."""
    if path.is_dir():
        raise ExportError(f"{path} is a folder; give the name of a file in it.")
    # Random, because two exports to the same path may run at once.
    unverified = path.with_name(f".{path.name}.{secrets.token_hex(4)}.unverified")
    rejected = path.with_name(f"{path.name}.rejected")
    write_atomically(unverified, data)
    try:
        proof = verify(unverified, masks)
        checks = (*proof.checks, live)
        failed = [check.text for check in checks if not check.ok]
        try:
            unverified.replace(rejected if failed else path)
        except OSError as error:
            raise disk_error(path, error) from None
    finally:
        unverified.unlink(missing_ok=True)
    if failed:
        raise ExportError(
            f"The exported file failed verification and was kept as {rejected}: {failed[0]}"
        )
    return dataclasses.replace(proof, checks=checks, path=str(path))
