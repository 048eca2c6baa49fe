"""Cost of the exact meta-gradient: this engine and plain unrolling.

    python -m benchmarks.metagradient

ResNet-20 on one batch of 128 colour images of 32×32 pixels, M = 1, 3 and 8 look-ahead steps. Times
are in units of one training gradient (forward and backward) measured just before in the same
process, which removes most of the influence of a shared machine. By default the engine computes
gradients in float64, so that rounding does not decide the ranking; "float32" computes all in
float32, as the unrolling does.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
import torch.nn.functional as F

import prospr_engine as pe
from benchmarks.measure import Cost, in_own_process, measured, report

STEPS = (1, 3, 8)
WAYS = ("engine", "float32", "unrolled")
ROUNDS = 3


def network_and_batch() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    """ResNet-20 and a batch of noise: the cost does not depend on the values."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(128, 3, 32, 32, generator=generator)
    y = torch.randint(0, 10, (128,), generator=generator)
    return pe.build_model("resnet20", (3, 32, 32), 10, seed=0).train(), x, y


def gradient(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    """The gradient of one training step."""
    torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))


def unrolled(model: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int) -> None:
    """w ⊙ ∂L/∂θ⁰ from one graph through all steps, as the authors' code computes it."""
    start = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    point = dict(start)
    for _ in range(steps):
        loss = F.cross_entropy(torch.func.functional_call(model, point, (x,)), y)
        gradients = torch.autograd.grad(loss, list(point.values()), create_graph=True)
        point = {n: p - 0.1 * g for (n, p), g in zip(point.items(), gradients, strict=True)}
    loss = F.cross_entropy(torch.func.functional_call(model, point, (x,)), y)
    gradients = torch.autograd.grad(loss, list(start.values()))
    for p, g in zip(start.values(), gradients, strict=True):
        (p * g).abs()


def one(way: str, steps: int) -> Cost:
    """One measurement, times in units of a training gradient."""
    model, x, y = network_and_batch()
    gradient(model, x, y)
    walls, processors = [], []
    for _ in range(3):
        wall, processor = time.perf_counter(), time.process_time()
        gradient(model, x, y)
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    if way != "unrolled":
        precision = None if way == "engine" else way
        cost = measured(lambda: pe.score(model, [(x, y)], steps=steps, precision=precision))
    else:
        cost = measured(lambda: unrolled(model, x, y, steps))
    return Cost(
        cost.wall / min(walls), cost.processor / min(processors), cost.peak_mb, cost.before_mb
    )


def main() -> None:
    """Interleave the ways, round by round, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "STEPS"))
    parsed = parser.parse_args()
    if parsed.one:
        report(one(parsed.one[0], int(parsed.one[1])))
        return
    costs: dict[tuple[str, int], list[Cost]] = {}
    for _ in range(ROUNDS):
        for steps in STEPS:
            for way in WAYS:
                cost = in_own_process("benchmarks.metagradient", "--one", way, steps)
                costs.setdefault((way, steps), []).append(cost)
    print(f"ResNet-20, batch 128, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'':10} {'M':>2} {'wall':>7} {'processor':>10} {'peak MB':>8}   (median of {ROUNDS})")
    for (way, steps), several in costs.items():
        wall, processor, peak = (
            statistics.median(getattr(cost, name) for cost in several)
            for name in ("wall", "processor", "peak_mb")
        )
        print(f"{way:10} {steps:2} {wall:6.1f}g {processor:9.1f}g {peak:8,.0f}")
    print("g: one training gradient of the same process")


if __name__ == "__main__":
    main()
