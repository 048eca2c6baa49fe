"""A network as a function of its parameters: loss, gradient and Hessian-vector product."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from prospr_engine.errors import ConfigError, DataError, ModelError, ScoringError
from prospr_engine.network.batchnorm import use_fast_batch_norm
from prospr_engine.network.convolution import use_fast_convolution
from prospr_engine.network.device import float64_device, is_out_of_memory
from prospr_engine.network.prunable import PrunableWeight, prunable_weights
from prospr_engine.network.seeding import seeded

Batch = tuple[Tensor, Tensor]
Point = list[Tensor]
"""A place in parameter space: one tensor for each of ``Network.names``."""

Linearised = tuple[float, Point, Callable[[Point], Point]]
"""Loss (nats), gradient, and vector → Hessian · vector."""

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}


class MissingDerivative(ScoringError):  # noqa: N818  (nothing else went wrong)
    """An operation of the network has no second derivative."""

    def __init__(self, what: str):
        super().__init__(f"An operation of this network has no second derivative ({what}).")


class Network:
    """A scratch copy of ``model`` in train mode, seen as a function of its parameters.

    ``names`` are the floating-point parameters that can change or be pruned, each shared one
    once; ``prunable`` describes those that can be pruned; ``trainable`` says, per name, whether
    training moves it (a frozen weight can be pruned, but never moves). Every evaluation starts
    from the buffers the model came with, and draws the same noise (dropout) at the same step,
    so that loss, gradient and Hessian belong to one and the same function.
    """

    def __init__(
        self, model: nn.Module, precision: str | None = None, seed: int = 0, training: bool = True
    ):
        if not isinstance(model, nn.Module):
            raise ModelError(f"The model is a {type(model).__name__}; give a torch.nn.Module.")
        self.prunable: dict[str, PrunableWeight] = prunable_weights(model)
        try:
            self.model = copy.deepcopy(model)
        except Exception as error:  # whatever the model's own __deepcopy__ may raise
            if is_out_of_memory(error):
                raise
            raise ModelError(
                f"This model cannot be copied ({error}); scoring works on a copy, so give a model "
                "that copy.deepcopy accepts, freshly built."
            ) from error
        if precision is not None:
            if precision not in PRECISIONS:
                known = ", ".join(PRECISIONS)
                raise ConfigError(f"precision is {precision!r}; give one of {known}, or None.")
            if precision == "float64":
                self.model.to(float64_device(next(self.model.parameters()).device))
            self.model.to(PRECISIONS[precision])
        self.model.train(training)
        use_fast_batch_norm(self.model)
        use_fast_convolution(self.model)
        _use_smooth_hard_sigmoid(self.model)
        parameters = {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.is_floating_point() and (parameter.requires_grad or name in self.prunable)
        }
        self.names = tuple(parameters)
        self.trainable = tuple(parameter.requires_grad for parameter in parameters.values())
        self.start: Point = [parameter.detach() for parameter in parameters.values()]
        self._buffers = {name: buffer.clone() for name, buffer in self.model.named_buffers()}
        first = parameters[next(iter(self.prunable))]
        self.device, self.dtype = first.device, first.dtype
        self._seed = seed

    def positive(self) -> Network:
        """Another copy, in eval mode and float64, with |·| of every parameter and buffer."""
        network = Network(self.model, "float64", self._seed, training=False)
        model, buffers = network.model, network._buffers.values()
        # ``start`` shares its memory with the parameters.
        for tensor in (*model.parameters(), *model.buffers(), *buffers):
            if tensor.is_floating_point():
                tensor.detach().abs_()
        return network

    def batches(self, batches: Iterable[Batch]) -> list[Batch]:
        """Check the calibration batches and bring them to the network's device and precision."""
        if not isinstance(batches, Iterable):
            raise DataError("There is no calibration batch; give a sequence of (x, y).")
        if isinstance(batches, Tensor) or (
            isinstance(batches, tuple | list) and batches and isinstance(batches[0], Tensor)
        ):
            raise DataError("Give a sequence of batches, [(x, y), …], even if there is only one.")
        ready = []
        for batch in batches:
            if not isinstance(batch, Sequence) or len(batch) != 2:
                raise DataError("Each calibration batch must be a pair (x, y) of tensors.")
            x, y = batch
            if not isinstance(x, Tensor) or not isinstance(y, Tensor):
                raise DataError("Each calibration batch must be a pair (x, y) of tensors.")
            if not x.dim() or not y.dim():
                raise DataError("Inputs and labels of a calibration batch need a batch axis.")
            if len(x) != len(y) or len(x) == 0:
                raise DataError(
                    f"A calibration batch holds {len(x)} inputs and {len(y)} labels; it needs "
                    "as many of one as of the other, and at least one."
                )
            if x.is_floating_point():
                x = x.to(self.dtype)
            if y.is_floating_point():
                y = y.to(self.dtype)
            elif y.dim() == 1 and y.dtype != torch.bool:
                y = y.long()
            else:
                raise DataError(
                    f"The labels are {y.dtype} of shape {tuple(y.shape)}; give one class index "
                    "for each input, or probabilities."
                )
            ready.append((x.to(self.device), y.to(self.device)))
        if not ready:
            raise DataError("There is no calibration batch; give at least one (x, y).")
        if self._gains_from_channels_last(ready[0]):
            layout = torch.channels_last
            self.start = [_laid_out(tensor, layout) for tensor in self.start]
            ready = [(_laid_out(x, layout), y) for x, y in ready]
        return ready

    def _gains_from_channels_last(self, batch: Batch) -> bool:
        """On a CPU, convolutions of images and their derivatives take less time in that layout; but
        a model that uses ``view`` may insist on the usual one."""
        x, _ = batch
        if self.device.type != "cpu" or x.dim() != 4:
            return False
        layout = torch.channels_last
        point = [_laid_out(tensor, layout) for tensor in self.start]
        try:
            with torch.no_grad():
                self._logits(point, _laid_out(x[:2], layout), step=0)
        except Exception:  # noqa: BLE001  (the usual layout will show whether it matters)
            return False
        return True

    def loss(self, point: Point, batch: Batch, step: int, temperature: float = 1.0) -> Tensor:
        """Mean cross-entropy (nats) of ``batch`` at ``point``, of logits divided by
        ``temperature``; noise as at inner step ``step``."""
        x, y = batch
        logits = self._logits(point, x, step)
        if y.is_floating_point() and y.shape != logits.shape:
            raise DataError(
                f"The labels have shape {tuple(y.shape)}; give class indices, or probabilities of "
                f"shape {tuple(logits.shape)}."
            )
        if not y.is_floating_point() and (y.min() < 0 or y.max() >= logits.shape[1]):
            raise DataError(
                f"The labels run from {int(y.min())} to {int(y.max())}, but the model has "
                f"{logits.shape[1]} classes (0 to {logits.shape[1] - 1})."
            )
        return F.cross_entropy(logits if temperature == 1 else logits / temperature, y)

    def _logits(self, point: Point, x: Tensor, step: int) -> Tensor:
        values = dict(zip(self.names, point, strict=True))
        values |= {name: buffer.clone() for name, buffer in self._buffers.items()}
        with self._noise(step):
            try:
                logits = functional_call(self.model, values, (x,))
            except (RuntimeError, ValueError, TypeError) as error:
                if is_out_of_memory(error):
                    raise
                raise ModelError(
                    f"The model cannot take a batch of shape {tuple(x.shape)}: {error}"
                ) from error
        if not isinstance(logits, Tensor) or logits.dim() < 2:
            raise ModelError("The model must answer with one tensor of logits, (batch, classes).")
        return logits

    def gradient(self, point: Point, batch: Batch, step: int) -> tuple[float, Point]:
        """Loss and its gradient at ``point``; zeros for parameters the loss does not see."""
        point = _leaves(point)
        with torch.enable_grad(), twice_differentiable():
            loss = self.loss(point, batch, step)
            gradient = _differentiate(loss, point)
        return loss.item(), gradient

    def flow(self, point: Point, x: Tensor) -> tuple[float, Point]:
        """The sum of the logits for the inputs ``x``, and its gradient at ``point``."""
        point = _leaves(point)
        with torch.enable_grad(), twice_differentiable():
            total = self._logits(point, x, step=0).sum()
            gradient = _differentiate(total, point)
        return total.item(), gradient

    def linearised(
        self, point: Point, batch: Batch, step: int, temperature: float = 1.0
    ) -> Linearised:
        """Loss and gradient at ``point``, and the Hessian there as a function of a vector.

        The function holds the gradient's graph, so let go of it soon. Raises
        ``MissingDerivative`` where an operation of the network has no second derivative.
        """
        point = _leaves(point)
        with torch.enable_grad(), twice_differentiable():
            loss = self.loss(point, batch, step, temperature)
            gradient = _differentiate(loss, point, create_graph=True)
        # Entries that depend on no parameter have no second derivative: nothing to add.
        curved = [i for i, g in enumerate(gradient) if g.requires_grad]
        refuse_missing_derivatives([gradient[i] for i in curved])

        def hessian_product(vector: Point) -> Point:
            if not curved:
                return [torch.zeros_like(p) for p in point]
            try:
                product = torch.autograd.grad(
                    [gradient[i] for i in curved],
                    point,
                    grad_outputs=[vector[i] for i in curved],
                    allow_unused=True,
                    materialize_grads=True,
                )
            except RuntimeError as error:
                if "not implemented" not in str(error):
                    raise
                raise MissingDerivative(str(error).splitlines()[0]) from error
            return list(product)

        return loss.item(), [g.detach() for g in gradient], hessian_product

    @contextmanager
    def _noise(self, step: int) -> Iterator[None]:
        with seeded(self._seed + step, self.device):
            yield


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Let attention use kernels that can be differentiated twice, and a GPU those that give the
    same result every time, in full precision: TF32 keeps ten bits, too few for a ranking."""
    exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
    with sdpa_kernel(SDPBackend.MATH), exact:
        yield


def _use_smooth_hard_sigmoid(model: nn.Module) -> None:
    """torch cannot differentiate its hard sigmoid twice, on which MobileNetV3 rests; the same
    function out of others it can."""
    for module in model.modules():
        if type(module) is nn.Hardsigmoid:
            module.forward = _hard_sigmoid  # type: ignore[method-assign, assignment]


def _hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / 6


def refuse_missing_derivatives(gradient: Point) -> None:
    """Find functions marked ``once_differentiable`` in the graph of a gradient.

    torch puts a node there that raises when it is reached; but the node hides what lies behind
    it, so a product with chosen parameters never reaches it and comes out wrong in silence.
    """
    seen = set()
    open_nodes = [g.grad_fn for g in gradient]
    while open_nodes:
        node = open_nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == "torch::autograd::Error":
            raise MissingDerivative("a function marked once_differentiable")
        open_nodes.extend(following for following, _ in node.next_functions)


def _differentiate(value: Tensor, point: Point, create_graph: bool = False) -> Point:
    if not value.requires_grad:  # no parameter has a say
        return [torch.zeros_like(tensor) for tensor in point]
    return list(
        torch.autograd.grad(
            value, point, create_graph=create_graph, allow_unused=True, materialize_grads=True
        )
    )


def _laid_out(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    return tensor.contiguous(memory_format=layout) if tensor.dim() == 4 else tensor


def _leaves(point: Point) -> Point:
    return [tensor.detach().requires_grad_() for tensor in point]
