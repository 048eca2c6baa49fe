"""From a PyTorch network to a verified ONNX file."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prospr_engine.errors import ConfigError, ExportError
from prospr_engine.export import node_counts, provenance, runtime
from prospr_engine.export.encodings import ENCODINGS, EncodingSpec
from prospr_engine.export.proof import Check, Proof
from prospr_engine.export.provenance import REFERENCE_BATCHES, LayerRecord, Provenance
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
    if spec.calibrated:
        more = [_inputs(calibration, traced, spec)]
        # Such a file is near only for inputs like these.
        inputs = in_batches(more[0][0])
        expected = tuple(traced.answers(inputs))
    proto = spec.load()(traced.model(), traced.masks, *more)
    weights = spec.load_reader()(proto)
    layers = _layers(weights, traced.masks)
    node_counts.write(proto, layers)
    references, error = traced.references, None
    if spec.calibrated:
        # What it answers to numbers that are like no image, no tolerance can say: its own answers.
        noise = [provenance.reference_input(n, traced.shape) for n in REFERENCE_BATCHES]
        near = runtime.run(proto.SerializeToString(), inputs)
        references = tuple(runtime.run(proto.SerializeToString(), noise))
        error = runtime.compare(expected, near, spec.tolerance).max_abs_error
    record = Provenance(
        encoding=encoding,
        input_shape=traced.shape,
        layers=layers,
        unused=tuple(name for name in traced.masks if name not in weights),
        digests={
            "weights": provenance.weights_digest(weights),
            "graph": provenance.graph_digest(proto),
            "rest": provenance.rest_digest(proto),
        },
        references=references,
        error=error,
        metadata=checked_metadata,
    )
    provenance.write(record, proto)
    data = proto.SerializeToString()
    del proto, weights  # each is another copy of all weights
    agreement = runtime.compare(expected, runtime.run(data, inputs), spec.tolerance)
    live = logits_check("calibration" if spec.calibrated else "sample", agreement)
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
        if not fits or tuple(inputs.shape[1:]) != traced.shape or not inputs.isfinite().all():
            shape = ", ".join(map(str, traced.shape))
            raise ConfigError(
                f"The calibration batches do not fit the network: give tensors (N, {shape}) of "
                "finite numbers, alone or with classes."
            )
        found.append(inputs.detach().to("cpu", torch.float32).numpy())
    return found


def _layers(
    weights: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray]
) -> tuple[LayerRecord, ...]:
    """The pruned layers among the ``weights`` of a file."""
    layers = []
    for name in (name for name in masks if name in weights):
        mask, alive = masks[name], weights[name] != 0
        layers.append(
            LayerRecord(
                name=name,
                shape=mask.shape,
                kept=int(mask.sum()),
                kept_zero=int((mask & ~alive).sum()),
                mask=provenance.bits_digest(mask),
                pattern=provenance.bits_digest(alive),
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
