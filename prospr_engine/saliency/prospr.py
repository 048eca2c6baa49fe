"""ProsPr: the meta-gradient of the loss after M steps of training, for every weight.

With c a mask of ones over the initial weights w (Alizadeh et al., ICLR 2022, section 3):

    θ⁰ = c ⊙ w,   vᵢ₊₁ = μ vᵢ + ∇L(θⁱ; batchᵢ),   θⁱ⁺¹ = θⁱ − α vᵢ₊₁,   s = ∂L(θᴹ; batch_M)/∂c

The authors unroll these steps in one graph, whose memory grows with M. The same derivative
follows backwards from the adjoints λ = ∂L/∂θⁱ and ν = ∂L/∂vᵢ₊₁, one Hessian-vector product a
step, and needs only the M weight vectors that were visited:

    λ ← ∇L(θᴹ), ν ← 0;   for i = M−1 … 0:   ν ← ν − α λ,   λ ← λ + Hᵢ ν,   ν ← μ ν;   s = w ⊙ λ
"""

from __future__ import annotations

import torch
from torch import Tensor

from prospr_engine.functional import Batch, Network, Point
from prospr_engine.saliency.base import OnStep, Saliency


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
    backward_steps = steps if order == "exact" else 0
    total = steps + 1 + backward_steps

    # Towards θᴹ. Frozen parameters stay where they are.
    rates = [lr if trainable else 0.0 for trainable in network.trainable]
    point = network.start
    visited: list[Point] = []
    velocity: Point | None = None
    losses = []
    for i in range(steps):
        on_step(i, total, f"Training step {i + 1} of {steps}")
        loss, gradient = network.gradient(point, batches[i % len(batches)], step=i)
        losses.append(loss)
        velocity = gradient if velocity is None else _add(gradient, velocity, momentum)
        visited.append(point)
        point = [p - rate * v for p, v, rate in zip(point, velocity, rates, strict=True)]
    del velocity

    on_step(steps, total, "Loss after the steps")
    loss, adjoint = network.gradient(point, batches[steps % len(batches)], step=steps)
    losses.append(loss)
    del point

    # And back.
    norms = [_norm(adjoint)]
    velocity_adjoint = [torch.zeros_like(tensor) for tensor in adjoint]
    for i in reversed(range(backward_steps)):
        on_step(total - 1 - i, total, f"Looking back through step {i + 1} of {steps}")
        here = visited.pop()
        if i == 0 and momentum and momentum_graph == "reference":
            break
        velocity_adjoint = [
            nu - rate * lam for nu, lam, rate in zip(velocity_adjoint, adjoint, rates, strict=True)
        ]
        product = network.hessian_product(here, batches[i % len(batches)], i, velocity_adjoint)
        adjoint = _add(adjoint, product, 1.0)
        velocity_adjoint = [momentum * nu for nu in velocity_adjoint]
        norms.append(_norm(adjoint))

    signed = {
        name: weight * lam
        for name, weight, lam in zip(network.names, network.start, adjoint, strict=True)
        if name in network.prunable
    }
    return Saliency(
        values={name: signed[name].abs() for name in network.prunable},
        signed=signed,
        adjoint_norms=tuple(norms),
        losses=tuple(losses),
    )


def _add(a: Point, b: Point, scale: float) -> Point:
    return [torch.add(x, y, alpha=scale) for x, y in zip(a, b, strict=True)]


def _norm(point: Point) -> float:
    norms: list[Tensor] = [torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in point]
    return torch.stack(norms).norm().item()
