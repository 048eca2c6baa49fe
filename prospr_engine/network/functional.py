"""A network as a function of its parameters: loss, gradient and Hessian-vector product."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from prospr_engine.errors import ConfigError, DataError, ModelError
from prospr_engine.network.answer import check_answer, check_logits
from prospr_engine.network.batches import Batch, checked
from prospr_engine.network.batchnorm import use_fast_batch_norm
from prospr_engine.network.convolution import Needed, use_fast_convolution
from prospr_engine.network.derivatives import (
    MissingDerivative,
    differentiate,
    refuse_missing_derivatives,
    twice_differentiable,
    use_smooth_hard_sigmoid,
)
from prospr_engine.network.device import float64_device
from prospr_engine.network.foreign import (
    cannot_take,
    check_module,
    explained,
    own_copy,
    set_mode,
)
from prospr_engine.network.point import Point, converted, rounded_differently, similar
from prospr_engine.network.prunable import PrunableWeight, prunable_weights
from prospr_engine.network.seeding import seeded

Answer = TypeVar("Answer")
Linearised = tuple[float, Point, Callable[[Point], Point]]
"""Loss (nats), gradient, and vector → Hessian · vector."""

PRECISIONS = {"float32": torch.float32, "float64": torch.float64}
MIXED = "mixed"
"""Losses, gradients and places in float64; Hessian-vector products in float32 at these places.

What rounding does to scores happens on the way from θ⁰ to θᴹ: each step blows a rounding error up,
until rectifiers flip and the gradient at θᴹ is another one. The way back is linear in the adjoint
and keeps float32's relative error. Convolutions in float64 take several times as long, and most
convolutions belong to the Hessian-vector products."""


class Network:
    """A scratch copy of ``model`` in train mode, seen as a function of its parameters.

    ``names`` are the floating-point parameters that can change or be pruned, each shared one
    once; ``prunable`` describes those that can be pruned; ``trainable`` says, per name, whether
    training moves it (a frozen weight can be pruned, but never moves). Every evaluation starts
    from the buffers the model came with, and draws the same noise (dropout) at the same step,
    so that loss, gradient and Hessian belong to one and the same function.

    ``precision`` is one of ``PRECISIONS``, ``MIXED``, or None for the model's own number format.
    ``dtype`` is the format of places, gradients and batches, ``score_dtype`` that of scores.
    """

    def __init__(
        self,
        model: nn.Module,
        precision: str | None = None,
        seed: int = 0,
        training: bool = True,
        device: torch.device | None = None,
    ):
        check_module(model)
        self.prunable: dict[str, PrunableWeight] = prunable_weights(model)
        self.model = own_copy(model)
        self._placing = _Placing(self.model)
        self.mixed = precision == MIXED
        here = next(self.model.parameters()).device
        if precision is not None:
            if precision not in {*PRECISIONS, MIXED}:
                known = ", ".join(PRECISIONS)
                raise ConfigError(f"precision is {precision!r}; give one of {known}, or None.")
            dtype = PRECISIONS.get(precision, torch.float64)
            if dtype == torch.float64:
                self.model.to(float64_device(here))
            self.model.to(device)
            # Unlike ``to``, these leave complex parameters complex.
            _ = self.model.double() if dtype == torch.float64 else self.model.float()
        set_mode(self.model, training)
        self._needed = Needed()
        use_fast_batch_norm(self.model, self._needed)
        use_fast_convolution(self.model, self._needed)
        use_smooth_hard_sigmoid(self.model)
        parameters = {
            name: parameter
            for name, parameter in self.model.named_parameters()
            if parameter.is_floating_point() and (parameter.requires_grad or name in self.prunable)
        }
        self.names = tuple(parameters)
        self.trainable = tuple(parameter.requires_grad for parameter in parameters.values())
        self.start: Point = [parameter.detach() for parameter in parameters.values()]
        every = {id(parameter) for parameter in self.model.parameters()}
        self._buffers = {
            name: buffer.clone()
            for name, buffer in self.model.named_buffers()
            if id(buffer) not in every  # a parameter that is registered twice
        }
        first = parameters[next(iter(self.prunable))]
        self.device, self.dtype = first.device, first.dtype
        self.score_dtype = torch.float32 if self.mixed else self.dtype
        self._seed = seed
        self._single: Callable[[], Network] | None = None
        if self.mixed:
            self._single = functools.cache(
                lambda: Network(self.model, "float32", seed, training, device=here)
            )
        self.used: dict[str, torch.dtype] = {}
        """The number formats of the "gradients" and "products" that have been asked for."""

    def positive(self) -> Network:
        """Another copy, in eval mode and float64, with |·| of every parameter and buffer."""
        network = Network(self.model, "float64", self._seed, training=False)
        network.used = self.used
        model, buffers = network.model, network._buffers.values()
        # ``start`` shares its memory with the parameters.
        for tensor in (*model.parameters(), *model.buffers(), *buffers):
            if tensor.is_floating_point():
                tensor.detach().abs_()
        return network

    def batches(self, batches: Iterable[Batch]) -> list[Batch]:
        """Check the calibration batches and bring them to the network's device and precision."""
        ready = checked(batches, self)
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

    def can_take(self, batch: Batch) -> bool:
        """Whether the model runs on such inputs in this number format: some insist on another."""
        x, _ = batch
        for part in (x[:2], x):  # some insist on the number of inputs, too
            try:
                # A forward may itself differentiate, so gradients stay on.
                with torch.enable_grad():
                    self._logits(self.start, part, step=0)
            except ModelError:
                continue
            return True
        return False

    def perturbed(self) -> Network:
        """The same function from weights that differ by rounding, as the sums of another machine
        would. Shares all but ``start``."""
        twin = copy.copy(self)
        twin.start = rounded_differently(self.start)
        return twin

    def loss(self, point: Point, batch: Batch, step: int, temperature: float = 1.0) -> Tensor:
        """Mean cross-entropy (nats) of ``batch`` at ``point``, of logits divided by
        ``temperature``; noise as at inner step ``step``."""
        x, y = batch
        logits = self._logits(point, x, step)
        if y.dim() == 1 or logits.dim() == 2:
            check_logits(logits, x)
        if y.is_floating_point() and y.shape != logits.shape:
            raise DataError(
                f"The labels have shape {tuple(y.shape)}; give class indices, or probabilities of "
                f"shape {tuple(logits.shape)}."
            )
        if not y.is_floating_point() and (y.min() < 0 or y.max() >= logits.shape[1]):
            classes = logits.shape[1]
            known = f"{classes} classes (0 to {classes - 1})"
            if classes == 1:
                known = "a single logit; give it one for each class, two if there are two"
            raise DataError(
                f"The labels run from {int(y.min())} to {int(y.max())}, but the model has {known}."
            )
        return F.cross_entropy(logits if temperature == 1 else logits / temperature, y)

    def _logits(self, point: Point, x: Tensor, step: int) -> Tensor:
        values = dict(zip(self.names, point, strict=True))
        values |= {name: buffer.clone() for name, buffer in self._buffers.items()}
        with self._noise(step), explained(self.model, cannot_take(x), x):
            # A copy, because the network may change its input in place.
            logits = functional_call(self.model, values, (x.clone(),))
        logits = check_answer(logits)
        return check_logits(logits, x) if logits.dim() < 2 or not logits.numel() else logits

    def gradient(
        self, point: Point, batch: Batch, step: int, temperature: float = 1.0
    ) -> tuple[float, Point]:
        """Loss and its gradient at ``point``; zeros for parameters the loss does not see."""
        self.used["gradients"] = self.dtype
        point = _leaves(point)

        def compute() -> tuple[Tensor, Point]:
            loss = self.loss(point, batch, step, temperature)
            return loss, differentiate(loss, point)

        # A GPU's own kernels take two thirds of the time; a CPU's add up less well.
        with self._needed.first_only() if self.device.type == "cuda" else nullcontext():
            loss, gradient = self._differentiating(point, compute)
        return loss.item(), gradient

    def flow(self, point: Point, x: Tensor) -> tuple[float, Point]:
        """The sum of the logits for the inputs ``x``, and its gradient at ``point``."""
        self.used["gradients"] = self.dtype
        point = _leaves(point)

        def compute() -> tuple[Tensor, Point]:
            total = self._logits(point, x, step=0).sum()
            return total, differentiate(total, point)

        total, gradient = self._differentiating(point, compute)
        return total.item(), gradient

    def linearised(
        self, point: Point, batch: Batch, step: int, temperature: float = 1.0
    ) -> Linearised:
        """Loss and gradient at ``point``, and the Hessian there as a function of a vector.

        The function holds the gradient's graph, so let go of it soon. Raises
        ``MissingDerivative`` where an operation of the network has no second derivative.
        """
        self.used["gradients"] = self.dtype
        if self._single is None:
            return self._linearised(point, batch, step, temperature)
        loss, gradient = self.gradient(point, batch, step, temperature)
        return loss, gradient, self.hessian(point, batch, step, temperature, gradient=gradient)

    def hessian(
        self,
        point: Point,
        batch: Batch,
        step: int,
        temperature: float = 1.0,
        *,
        gradient: Point | None = None,
    ) -> Callable[[Point], Point]:
        """The Hessian at ``point`` as a function of a vector, as ``linearised`` has it.

        In mixed precision it is in float32 where the gradient in float32 agrees with the one in
        float64, ``gradient``, which is computed if it is not given.
        """
        if self._single is None:
            return self._linearised(point, batch, step, temperature)[2]
        if gradient is None:
            gradient = self.gradient(point, batch, step, temperature)[1]
        try:
            slope, product = self._linearised_in_single(point, batch, step, temperature)
        except ModelError:  # it does not run in that format
            self._single = None
            return self._linearised(point, batch, step, temperature)[2]
        if similar(slope, gradient):
            self.used["products"] = torch.float32
            return product
        del product  # and with it the graph
        return self._linearised(point, batch, step, temperature)[2]

    def _linearised_in_single(
        self, point: Point, batch: Batch, step: int, temperature: float
    ) -> tuple[Point, Callable[[Point], Point]]:
        """Gradient and Hessian in float32, of and for vectors in this network's format."""
        assert self._single is not None
        single = self._single()
        x, y = (
            tensor.to(single.device, single.dtype if tensor.is_floating_point() else tensor.dtype)
            for tensor in batch
        )
        _, gradient, product = single._linearised(
            converted(point, single), (x, y), step, temperature
        )
        return converted(gradient, self), lambda vector: converted(
            product(converted(vector, single)), self
        )

    def _linearised(self, point: Point, batch: Batch, step: int, temperature: float) -> Linearised:
        self.used.setdefault("products", self.dtype)
        point = _leaves(point)

        def compute() -> tuple[Tensor, Point]:
            loss = self.loss(point, batch, step, temperature)
            return loss, differentiate(loss, point, create_graph=True)

        loss, gradient = self._differentiating(point, compute)
        # Entries that depend on no parameter have no second derivative: nothing to add.
        curved = [i for i, g in enumerate(gradient) if g.requires_grad]
        refuse_missing_derivatives([gradient[i] for i in curved])

        def hessian_product(vector: Point) -> Point:
            if not curved:
                return [torch.zeros_like(p) for p in point]

            def compute() -> Point:
                product = torch.autograd.grad(
                    [gradient[i] for i in curved],
                    point,
                    grad_outputs=[vector[i] for i in curved],
                    allow_unused=True,
                    materialize_grads=True,
                )
                return list(product)

            return self._differentiating(point, compute, again=True)

        return loss.item(), [g.detach() for g in gradient], hessian_product

    def _differentiating(
        self, point: Point, compute: Callable[[], Answer], again: bool = False
    ) -> Answer:
        """What ``compute`` returns. The network holds the parameters ``point`` meanwhile, because
        checkpointing runs parts of it again while derivatives are computed. ``again``: it is the
        second derivative, which an operation may lack."""
        values = {f"model.{name}": tensor for name, tensor in zip(self.names, point, strict=True)}
        failing = explained(self.model, "The model cannot be differentiated")
        with torch.set_grad_enabled(not again), twice_differentiable(), failing:
            try:
                return functional_call(self._placing, values, (compute,))
            except RuntimeError as error:
                if not again or "not implemented" not in str(error):
                    raise
                raise MissingDerivative(str(error).splitlines()[0]) from error

    @contextmanager
    def _noise(self, step: int) -> Iterator[None]:
        with seeded(self._seed + step, self.device):
            yield


class _Placing(nn.Module):
    """Runs a computation around ``model`` while ``functional_call`` holds its parameters."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, compute: Callable[[], Answer]) -> Answer:
        return compute()


def _laid_out(tensor: Tensor, layout: torch.memory_format) -> Tensor:
    return tensor.contiguous(memory_format=layout) if tensor.dim() == 4 else tensor


def _leaves(point: Point) -> Point:
    return [tensor.detach().requires_grad_() for tensor in point]
