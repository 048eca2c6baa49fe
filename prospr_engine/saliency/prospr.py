"""ProsPr: the meta-gradient of the loss after M steps of training, for every weight.

With c a mask of ones over the initial weights w (Alizadeh et al., ICLR 2022, section 3):

    θ⁰ = c ⊙ w,   vᵢ₊₁ = μ vᵢ + ∇L(θⁱ; batchᵢ),   θⁱ⁺¹ = θⁱ − α vᵢ₊₁,   s = ∂L(θᴹ; batch_M)/∂c

The authors unroll these steps in one graph, whose memory grows with M. The same derivative
follows backwards from the adjoints λ = ∂L/∂θⁱ and ν = ∂L/∂vᵢ₊₁, one Hessian-vector product a
step, and needs only the M weight vectors that were visited (in mixed precision, and their
gradients):

    λ ← ∇L(θᴹ), ν ← 0;   for i = M−1 … 0:   ν ← ν − α λ,   λ ← λ + Hᵢ ν,   ν ← μ ν;   s = w ⊙ λ
"""

from __future__ import annotations

import dataclasses

import torch

from prospr_engine.network.batches import Batch
from prospr_engine.network.functional import Network
from prospr_engine.network.point import Point, add, norm
from prospr_engine.saliency.base import OnStep, Saliency
from prospr_engine.saliency.effects import effects, unranked_effects


def prospr(
    network: Network,
    batches: list[Batch],
    on_step: OnStep,
    *,
    steps: int,
    lr: float,
    momentum: float,
    order: str,
    momentum_graph: str,
) -> Saliency:
    """Signed scores w ⊙ ∂L/∂θ⁰ of the prunable weights, ranked by absolute value.

    Batch i serves step i and the next one the outer loss; fewer are used in turn. ``steps=0``
    is SNIP; ``order="first"`` takes λ = ∇L(θᴹ); ``momentum_graph="reference"`` leaves out the
    first step's Hessian when there is momentum, as in the published code, where the first
    momentum buffer is detached from the graph.
    """
    exact = order == "exact"
    lost = 1 if momentum and momentum_graph == "reference" else 0
    back = range(lost, steps) if exact else range(0)
    report = _Progress(on_step, total=steps + 1 + len(back))
    # Frozen parameters stay where they are.
    rates = [lr if trainable else 0.0 for trainable in network.trainable]

    def batch(i: int) -> Batch:
        return batches[i % len(batches)]

    def moved(point: Point, velocity: Point | None, gradient: Point) -> tuple[Point, Point]:
        velocity = gradient if velocity is None else add(gradient, velocity, momentum)
        point = [p - rate * v for p, v, rate in zip(point, velocity, rates, strict=True)]
        return point, velocity

    # Towards θᴹ. The last step's graph is kept, so that its Hessian costs no second pass; in mixed
    # precision it would be another graph, and only take memory.
    point, velocity = network.start, None
    visited: list[Point] = []
    slopes: list[Point | None] = []  # against which products in float32 are checked
    losses = []
    hessian_product = None
    for i in range(steps):
        report(f"Training step {i + 1} of {steps}")
        if i == steps - 1 and i in back and not network.mixed:
            loss, gradient, hessian_product = network.linearised(point, batch(i), i)
        else:
            loss, gradient = network.gradient(point, batch(i), i)
        losses.append(loss)
        visited.append(point)
        slopes.append(gradient if network.mixed else None)
        point, velocity = moved(point, velocity, gradient)
    report("Loss after the steps")
    loss, adjoint = network.gradient(point, batch(steps), steps)
    losses.append(loss)
    del point, velocity

    # And back.
    norms = [norm(adjoint)]
    velocity_adjoint = [torch.zeros_like(tensor) for tensor in adjoint]
    for i in reversed(back):
        report(f"Looking back through step {i + 1} of {steps}")
        velocity_adjoint = [
            nu - rate * lam for nu, lam, rate in zip(velocity_adjoint, adjoint, rates, strict=True)
        ]
        if hessian_product is None:
            hessian_product = network.hessian(visited[i], batch(i), i, gradient=slopes.pop(i))
        adjoint = add(adjoint, hessian_product(velocity_adjoint), 1.0)
        hessian_product = None  # and with it the graph
        velocity_adjoint = [momentum * nu for nu in velocity_adjoint]
        norms.append(norm(adjoint))

    return dataclasses.replace(
        Saliency.of(effects(network, adjoint), unranked_effects(network, adjoint)),
        adjoint_norms=tuple(norms),
        losses=tuple(losses),
    )


class _Progress:
    """Counts the steps it reports."""

    def __init__(self, on_step: OnStep, total: int):
        self._on_step, self._total, self._done = on_step, total, 0

    def __call__(self, text: str) -> None:
        self._on_step(self._done, self._total, text)
        self._done += 1
