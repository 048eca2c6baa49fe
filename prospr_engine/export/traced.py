"""A network traced once, from which files in any encoding are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from prospr_engine.errors import ConfigError, ExportError, ModelError
from prospr_engine.export import onnx_file, provenance
from prospr_engine.export.encodings.dense import decode
from prospr_engine.export.interface import Interface, Place, Template
from prospr_engine.export.names import INPUT, OUTPUT
from prospr_engine.export.sample import as_batch
from prospr_engine.export.trace import rename, trace
from prospr_engine.network.foreign import (
    check_module,
    learned_names,
    logits_of,
    own_copy,
    set_mode,
)
from prospr_engine.network.prunable import prunable_weights, refuse_computed_weights
from prospr_engine.pruning.masks import matching_parameters


@dataclass(frozen=True)
class Traced:
    """``data`` is the dense ONNX model, ``masks`` are True where a weight is kept. ``inputs`` are
    the sample, as many at a time as ``interface.batches`` says, and ``expected`` PyTorch's logits
    for them; ``references`` those for ``provenance.reference_input``. ``network`` is a copy that is
    not to be changed; it takes inputs of ``own_shape``, and the file the same in its own layout. Of
    a user's own graph there is a ``template``."""

    network: nn.Module
    data: bytes
    masks: Mapping[str, np.ndarray]
    inputs: tuple[np.ndarray, ...]
    expected: tuple[np.ndarray, ...]
    references: tuple[np.ndarray, ...]
    own_shape: tuple[int, ...]
    interface: Interface = field(default_factory=Interface)
    template: Template | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input of the file."""
        return self.inputs[0].shape[1:]

    @property
    def places(self) -> Mapping[str, Place]:
        """Where weights are in a user's own graph, by name."""
        return self.template.places if self.template else {}

    def model(self) -> onnx.ModelProto:
        """A copy of the model, to be changed."""
        return onnx.ModelProto.FromString(self.data)

    def answers(self, batches: Sequence[np.ndarray]) -> list[np.ndarray]:
        """PyTorch's logits for inputs in the file's layout, as the file answers them."""
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            return [
                _answers(self.network, batch, self.interface, self.own_shape) for batch in batches
            ]

    def with_weights_of(self, network: nn.Module) -> onnx.ModelProto | None:
        """The model with the weights of another ``network`` of the same architecture; None if its
        tensors have other names or shapes."""
        model = self.model()
        state = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
        if self.template:
            try:
                self.template.fill(model, {name: t.numpy() for name, t in state.items()})
            except ExportError:
                return None
            return model
        for tensor in model.graph.initializer:
            own = state.get(tensor.name)
            if own is None or tuple(own.shape) != tuple(tensor.dims):
                return None
            tensor.CopyFrom(numpy_helper.from_array(own.numpy(), tensor.name))
        return model


def in_batches(inputs: np.ndarray, sizes: Sequence[int]) -> tuple[np.ndarray, ...]:
    """The first of ``inputs``, in batches of the ``sizes``."""
    return tuple(inputs[np.arange(n) % len(inputs)] for n in sizes)


def trace_network(
    model: nn.Module,
    sample: Tensor,
    masks: Mapping[str, Tensor] | None = None,
    names: tuple[str, str] = (INPUT, OUTPUT),
) -> Traced:
    """Trace ``model``; arguments and errors are those of ``export_onnx``. ``names`` are those of
    the file's input and output."""

    def make(network: nn.Module, batch: Tensor) -> onnx.ModelProto:
        proto = trace(network, batch[[0, 0]])
        _check_weights(proto, network)
        interface = Interface(*names)
        if interface != Interface():
            rename(proto, {INPUT: interface.input, OUTPUT: interface.output})
        return proto

    return _traced(model, sample, masks, make, Interface(*names), None)


def trace_into(
    template: Template,
    model: nn.Module,
    sample: Tensor,
    masks: Mapping[str, Tensor] | None = None,
) -> Traced:
    """``model`` in a user's own graph: the same for a network that was imported from it. Raises
    ``ExportError`` if its tensors do not fit the graph."""

    def make(network: nn.Module, batch: Tensor) -> onnx.ModelProto:
        proto = onnx.ModelProto.FromString(template.data)
        template.fill(proto, {name: t.numpy() for name, t in network.state_dict().items()})
        shape = template.interface.arranged(batch[:1].numpy()).shape[1:]
        if not onnx_file.takes(proto, template.interface, shape):
            raise ExportError(
                f"The graph takes other images than those of {'×'.join(map(str, shape))} that the "
                "network was trained on."
            )
        return proto

    return _traced(model, sample, masks, make, template.interface, template)


def _traced(
    model: nn.Module,
    sample: Tensor,
    masks: Mapping[str, Tensor] | None,
    make: Callable[[nn.Module, Tensor], onnx.ModelProto],
    interface: Interface,
    template: Template | None,
) -> Traced:
    # Forked, because a network may draw random numbers even in eval mode.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        network = _detached_copy(model)
        batch = as_batch(network, sample)
        bits = _mask_bits(network, masks)
        _refuse_chance(network, batch)
        proto = make(network, batch)
        batches = in_batches(interface.arranged(batch.numpy()), interface.batches)
        own_shape = tuple(batch.shape[1:])
        return Traced(
            network=network,
            data=proto.SerializeToString(),
            masks=bits,
            inputs=batches,
            expected=tuple(_answers(network, values, interface, own_shape) for values in batches),
            references=tuple(
                _reference_answers(network, batches[0].shape[1:], n, interface, own_shape)
                for n in interface.batches
            ),
            own_shape=own_shape,
            interface=interface,
            template=template,
        )


def _answers(
    network: nn.Module, inputs: np.ndarray, interface: Interface, own_shape: tuple[int, ...]
) -> np.ndarray:
    """What a file with that ``interface`` answers to ``inputs`` in its layout."""
    images = inputs if interface == Interface() else interface.restored(inputs, own_shape)
    return interface.answered(_logits(network, torch.from_numpy(images)))


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


def _reference_answers(
    network: nn.Module,
    shape: tuple[int, ...],
    batch: int,
    interface: Interface,
    own_shape: tuple[int, ...],
) -> np.ndarray:
    """The answer to the inputs that a file is verified on."""
    values = provenance.reference_input(batch, shape)
    try:
        return _answers(network, values, interface, own_shape)
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
