"""From a PyTorch network to a verified ONNX file."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from prospr_engine.errors import ConfigError, ExportError, ModelError
from prospr_engine.export import node_counts, onnx_file, provenance, runtime
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.export.encodings.dense import decode
from prospr_engine.export.proof import Check, Proof
from prospr_engine.export.provenance import REFERENCE_BATCHES, LayerRecord, Provenance
from prospr_engine.export.sample import as_batch
from prospr_engine.export.trace import trace
from prospr_engine.export.verify import logits_check, verify
from prospr_engine.io.files import disk_error, write_atomically
from prospr_engine.network.foreign import (
    check_module,
    learned_names,
    logits_of,
    own_copy,
    set_mode,
)
from prospr_engine.network.prunable import prunable_weights, refuse_computed_weights
from prospr_engine.pruning.masks import matching_parameters


def export_onnx(
    model: nn.Module,
    path: str | Path,
    sample: Tensor,
    *,
    encoding: str = "dense",
    masks: Mapping[str, Tensor] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Proof:
    """Write ``model`` as a single ONNX file at ``path``, verify it, and return the proof.

    ``sample`` is one input (C, H, W) or a batch (N, C, H, W), or whatever the network takes
    instead. ``masks`` are boolean tensors by parameter name, True where a weight is kept,
    already applied to the model; without them the zeros of the prunable weights count as
    pruned. ``metadata`` (JSON-ready: method, sparsity, seed, accuracy …) is stored in the file.
    The file has the input "input" and the output "logits", any batch size, opset 20, and every
    weight under its parameter's name; weights shared by layers appear once. Names in a file are
    unique, so a parameter or buffer of the model itself that is called "input" or "logits" is
    stored as "input_1" or "logits_1". The model is not modified.

    The file appears at ``path`` only once it is verified; one that fails is kept as
    ``<name>.rejected`` for inspection, and an earlier file stays. Raises ``ConfigError`` for an
    unknown encoding or metadata that are not JSON, ``ModelError`` if masks, sample and model do
    not fit, ``ResourceError`` if the file cannot be written, ``ExportError`` otherwise.
    """
    spec = ENCODINGS.find(encoding)
    encode = spec.load()
    checked_metadata = provenance.check_metadata(metadata or {})
    # Forked, because a network may draw random numbers even in eval mode.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network = _detached_copy(model)
        batch = as_batch(network, sample)
        bits = _mask_bits(network, masks)
        _refuse_chance(network, batch)
        proto = trace(network, batch[[0, 0]])
        _check_weights(proto, network)
        batches = [batch[torch.arange(n) % len(batch)] for n in REFERENCE_BATCHES]
        expected = [_logits(network, values) for values in batches]

        shape = tuple(batch.shape[1:])
        proto = encode(proto, bits)
        weights = spec.load_reader()(proto)
        layers = _layers(weights, bits)
        node_counts.write(proto, layers)
        record = Provenance(
            encoding=encoding,
            input_shape=shape,
            layers=layers,
            unused=tuple(name for name in bits if name not in weights),
            digests={
                "weights": provenance.weights_digest(weights),
                "graph": provenance.graph_digest(proto),
                "rest": provenance.rest_digest(proto),
            },
            references=tuple(_reference_logits(network, shape, n) for n in REFERENCE_BATCHES),
            metadata=checked_metadata,
        )
    provenance.write(record, proto)
    data = proto.SerializeToString()
    del network, proto, weights  # each is another copy of all weights
    found = runtime.run(data, [values.numpy() for values in batches])
    live = logits_check("sample", runtime.compare(expected, found, spec.tolerance))
    return _write_verified(data, Path(path), bits, live)


def _detached_copy(model: nn.Module) -> nn.Module:
    """An eval-mode copy on the CPU, so that the caller's hooks, mode and device do not matter."""
    check_module(model)
    refuse_computed_weights(model)
    try:
        network = own_copy(model).cpu()
    except ModelError as error:
        raise ExportError(str(error)) from error
    set_mode(network, False)
    size, learned = 0, learned_names(network)
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        size += tensor.nbytes if tensor.layout == torch.strided else 0
        if tensor.is_complex():
            raise ExportError(
                f"{name} is {str(tensor.dtype).removeprefix('torch.')}, and files store real "
                "numbers; keep its real and its imaginary part instead."
            )
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise ExportError(
                f"{name} is {str(tensor.dtype).removeprefix('torch.')}, but files store 32-bit "
                "weights; call model.float() first."
            )
        if name in learned and not tensor.isfinite().all():
            raise ExportError(
                f"{name} contains NaN or infinite values, as when training diverges; lower the "
                "learning rate and train again."
            )
    if size > onnx_file.PROTOBUF_LIMIT - 2**24:
        raise ExportError(
            f"The network has {size / 2**30:.1f} GiB of weights; a single ONNX file can store at "
            "most 2 GiB. Export a smaller network."
        )
    return network


def _logits(network: nn.Module, batch: Tensor) -> np.ndarray:
    logits = logits_of(network, batch).float().numpy()
    if not np.isfinite(logits).all():
        raise ExportError(
            "The network answers with NaN or infinite logits, as with weights that are too large; "
            "lower the learning rate and train again."
        )
    return logits


def _reference_logits(network: nn.Module, shape: tuple[int, ...], batch: int) -> np.ndarray:
    """The answer to the inputs that a file is verified on."""
    values = torch.from_numpy(provenance.reference_input(batch, shape))
    try:
        return _logits(network, values)
    except ModelError as error:
        raise ExportError(
            "A file is verified on inputs of numbers between -2 and 2, which this network does not "
            f"take. {error}"
        ) from error


def _refuse_chance(network: nn.Module, batch: Tensor) -> None:
    """Raise ``ExportError`` for a network whose answers differ from one call to the next."""
    first, again = logits_of(network, batch), logits_of(network, batch)
    if not torch.allclose(first, again, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise ExportError(
            "The network answers the same input differently each time, even in eval mode, so no "
            "file can match it; switch its noise (dropout, sampling) and its memory off in eval "
            "mode, as `if self.training` does."
        )


def _mask_bits(network: nn.Module, masks: Mapping[str, Tensor] | None) -> dict[str, np.ndarray]:
    """The masks as arrays, after checking that they are applied to the network."""
    parameters = dict(network.named_parameters())
    if masks is None:
        return {name: (parameters[name] != 0).numpy() for name in prunable_weights(network)}
    for name, weight in matching_parameters(network, masks).items():
        mask = masks[name].cpu()
        if mask.dtype != torch.bool:
            raise ConfigError(f"The mask of {name!r} is {mask.dtype}; give a boolean mask.")
        nonzero = int((weight[~mask] != 0).sum())
        if nonzero:
            raise ExportError(
                f"{nonzero:,} pruned weights of {name} are not zero in the network; apply the "
                "masks (masks.apply_to(model)) before exporting."
            )
    return {name: mask.cpu().numpy() for name, mask in masks.items()}


def _check_weights(proto: onnx.ModelProto, network: nn.Module) -> None:
    """Check that every weight was exported under its own name, bit for bit."""
    state = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    for name, values in decode(proto).items():
        if name not in state:
            continue
        wanted = state[name].numpy()
        same = (values.dtype, values.shape) == (wanted.dtype, wanted.shape)
        if not same or values.tobytes() != wanted.tobytes():
            raise ExportError(
                f"The exporter changed the values of {name}; the installed torch and onnxscript "
                "cannot export this network faithfully. Update them."
            )


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
