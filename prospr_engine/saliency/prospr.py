"""ProsPr: the meta-gradient of the loss after M steps of training, for every weight.

With c a mask of ones over the initial weights w (Alizadeh et al., ICLR 2022, section 3):

    θ⁰ = c ⊙ w,   vᵢ₊₁ = μ vᵢ + ∇L(θⁱ; batchᵢ),   θⁱ⁺¹ = θⁱ − α vᵢ₊₁,   s = ∂L(θᴹ; batch_M)/∂c

The authors unroll these steps in one graph, whose memory grows with M. The same derivative
follows backwards from the adjoints λ = ∂L/∂θⁱ and ν = ∂L/∂vᵢ₊₁, one Hessian-vector product a
step, and needs only the M weight vectors that were visited:

    λ ← ∇L(θᴹ), ν ← 0;   for i = M−1 … 0:   ν ← ν − α λ,   λ ← λ + Hᵢ ν,   ν ← μ ν;   s = w ⊙ λ
"""

from __future__ import annotations

from dataclasses import dataclass

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
    total = 2 * (steps + 1) + backward_steps
    # Frozen parameters stay where they are.
    rates = [lr if trainable else 0.0 for trainable in network.trainable]

    def walk(start: Point, done: int, words: str) -> _Walk:
        point, velocity = start, None
        visited: list[Point] = []
        losses = []
        for i in range(steps):
            on_step(done + i, total, f"{words}, step {i + 1} of {steps}")
            loss, gradient = network.gradient(point, batches[i % len(batches)], step=i)
            losses.append(loss)
            velocity = gradient if velocity is None else _add(gradient, velocity, momentum)
            visited.append(point)
            point = [p - rate * v for p, v, rate in zip(point, velocity, rates, strict=True)]
        on_step(done + steps, total, f"{words}, loss after the steps")
        loss, gradient = network.gradient(point, batches[steps % len(batches)], step=steps)
        return _Walk(visited, [*losses, loss], gradient)

    # The same walk from weights that differ by rounding: if it ends with another gradient, the
    # ranking is made of rounding errors (see trust.py).
    other = walk(_rounded_differently(network.start), 0, "Rehearsal").gradient
    there = walk(network.start, steps + 1, "Training")
    sensitivity = _norm(_add(other, there.gradient, -1.0)) / max(_norm(there.gradient), 1e-300)
    del other

    adjoint = there.gradient
    norms = [_norm(adjoint)]
    velocity_adjoint = [torch.zeros_like(tensor) for tensor in adjoint]
    for i in reversed(range(backward_steps)):
        if i == 0 and momentum and momentum_graph == "reference":
            break
        on_step(total - 1 - i, total, f"Looking back through step {i + 1} of {steps}")
        velocity_adjoint = [
            nu - rate * lam for nu, lam, rate in zip(velocity_adjoint, adjoint, rates, strict=True)
        ]
        batch = batches[i % len(batches)]
        product = network.hessian_product(there.visited.pop(), batch, i, velocity_adjoint)
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
        losses=tuple(there.losses),
        sensitivity=sensitivity,
    )


@dataclass
class _Walk:
    """θ⁰ … θᴹ⁻¹, the losses at θ⁰ … θᴹ, and the gradient at θᴹ."""

    visited: list[Point]
    losses: list[float]
    gradient: Point


def _rounded_differently(point: Point) -> Point:
    """Every value changed by at most one unit of its last place, at random but always the same."""
    generator = torch.Generator().manual_seed(0)
    changed = []
    for tensor in point:
        noise = torch.rand(tensor.shape, generator=generator, dtype=torch.float64) * 2 - 1
        factor = 1 + torch.finfo(tensor.dtype).eps * noise
        changed.append((tensor.double() * factor.to(tensor.device)).to(tensor.dtype))
    return changed


def _add(a: Point, b: Point, scale: float) -> Point:
    return [torch.add(x, y, alpha=scale) for x, y in zip(a, b, strict=True)]


def _norm(point: Point) -> float:
    norms: list[Tensor] = [
        torch.linalg.vector_norm(tensor, dtype=torch.float64) for tensor in point
    ]
    return torch.stack(norms).norm().item()
