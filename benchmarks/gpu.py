"""What a GPU makes of the meta-gradient and of training: time, memory, and the same weights.

    python -m benchmarks.gpu [--minutes 8] [--out FILE.json]

The most telling figures come first; the file is written after every one, what it holds already is
not measured again, and no figure is begun that is likely to end after the minutes given. Times are
medians, in milliseconds between two synchronisations. "gradients" is the time in units of one
training gradient (forward and backward in float32) of the same network and batch: M look-ahead
steps cost at least 3M + 1 of them. "unrolled" is plain automatic differentiation through all
steps in float32, as the authors' code computes it; theirs runs on the processor, which is measured,
too. No way uses TF32, which keeps too few digits for a ranking.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import prospr_engine as pe
from benchmarks.metagradient import gradient, unrolled
from prospr_engine.events import EpochEnded, Event
from prospr_engine.network.device import exact_kernels, is_out_of_memory
from prospr_engine.saliency.diagnostics import shared_share

SPARSITY = 0.95
REPEATS = 3
TRAINED = 50_000
"""Images of an epoch, as many as CIFAR-10 has for training."""
EPOCHS = 160
WAYS = ("engine", "float32", "float64", "unrolled")
Figure = Callable[[], dict[str, Any]]


def network_and_batch(name: str, count: int, device: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A network and ``count`` images of noise: the cost does not depend on the values."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, 3, 32, 32, generator=generator).to(device)
    y = torch.randint(0, 10, (count,), generator=generator).to(device)
    return pe.build_model(name, (3, 32, 32), 10, seed=0).train().to(device), x, y


def milliseconds(work: Callable[[], object], repeats: int = REPEATS, warm: int = 1) -> float:
    """The median time of ``work``, after ``warm`` runs that do not count."""
    times = []
    for _ in range(warm + repeats):
        _wait()
        started = time.perf_counter()
        work()
        _wait()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[warm:])


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def meta_gradient(name: str, count: int, steps: int, device: str) -> dict[str, Any]:
    """Time and memory of one meta-gradient, in each way."""
    model, x, y = network_and_batch(name, count, device)
    with exact_kernels():
        one = milliseconds(lambda: gradient(model, x, y), repeats=10, warm=3)
    found: dict[str, Any] = {"training gradient, ms": one, "floor, gradients": 3 * steps + 1}
    for way in WAYS:
        precision = None if way == "engine" else way

        def work(way: str = way, precision: str | None = precision) -> object:
            if way == "unrolled":
                return unrolled(model, x, y, steps)
            return pe.score(model, [(x, y)], steps=steps, precision=precision)

        _clear()
        try:
            with exact_kernels():
                took = milliseconds(work)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            found[way] = "out of memory"
            continue
        found[way] = {"ms": took, "gradients": took / one, "peak MB": _peak_mb()}
    return found


def _clear() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak_mb() -> float | None:
    return torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else None


def same_weights(name: str, count: int, device: str) -> dict[str, Any]:
    """The share of the weights kept in float64 that each precision keeps, too."""
    model, x, y = network_and_batch(name, count, device)
    exact = pe.score(model, [(x, y)], precision="float64")
    found = {}
    for way, precision in (("engine", None), ("float32", "float32")):
        scores = pe.score(model, [(x, y)], precision=precision)
        found[way] = shared_share(exact, scores, SPARSITY, 0)
    return found


def on_the_processor(name: str, count: int, steps: int) -> dict[str, Any]:
    """The unrolled meta-gradient on this machine's processor, where the authors' code runs."""
    model, x, y = network_and_batch(name, count, "cpu")
    took = milliseconds(lambda: unrolled(model, x, y, steps), repeats=1, warm=0)
    return {"unrolled, ms": took, "threads": torch.get_num_threads()}


def training(name: str, device: str, images: int, epochs: int) -> dict[str, Any]:
    """Seconds for an epoch of the whole job, and what a published training would take."""
    seconds: dict[str, list[float]] = {}

    def note(event: Event) -> None:
        if isinstance(event, EpochEnded):
            seconds.setdefault(event.network, []).append(event.seconds)

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "images.npz"
        draw = np.random.default_rng(0)
        labels = np.arange(images) % 10
        tints = draw.integers(0, 200, (10, 1, 1, 3))
        pictures = tints[labels] + draw.integers(0, 56, (images, 32, 32, 3))
        np.savez(data, x=pictures.astype(np.uint8), y=labels)
        config = pe.RunConfig(
            model=name, data=str(data), epochs=epochs, sparsity=SPARSITY, device=device
        )
        result = pe.run(config, out=Path(folder) / "run", on_event=note)
    # The first epoch chooses kernels, and is not typical.
    each = {network: statistics.median(times[1:]) for network, times in seconds.items()}
    return {
        "images": result.data["split"]["train"],
        "precision": result.recipe["precision"],
        "batch": result.recipe["batch_size"],
        "epoch, s": each,
        "first epoch, s": {network: times[0] for network, times in seconds.items()},
        f"{EPOCHS} epochs of both, minutes": EPOCHS * sum(each.values()) / 60,
        "whole run, s": result.seconds,
        "of which, s": dict(result.seconds_of or {}),
        "proof holds": result.proof.ok,
    }


def figures(device: str) -> dict[str, tuple[Figure, float]]:
    """All figures by name, the most telling first, with the seconds that each may take."""
    small = device == "cpu"
    nets = [("resnet20", 128)] if small else [("resnet18", 128), ("resnet50", 256)]
    found: dict[str, tuple[Figure, float]] = {}

    def add(name: str, figure: Figure, seconds: float) -> None:
        found[name] = figure, seconds

    def meta(net: str, count: int, steps: int) -> None:
        add(
            f"meta-gradient, {net}, batch {count}, M = {steps}",
            lambda: meta_gradient(net, count, steps, device),
            40.0,
        )

    for net, count in nets:
        meta(net, count, 3)
    net, count = nets[0]
    add("training, resnet20", lambda: training("resnet20", device, TRAINED, 3), 60.0)
    add(
        f"authors' way on the processor, {net}, batch {count}, M = 3",
        lambda: on_the_processor(net, count, 3),
        60.0,
    )
    for net, count in (("resnet20", 128), *nets):
        add(f"same weights, {net}, batch {count}", _later(same_weights, net, count, device), 30.0)
    for net, count in nets:
        meta(net, count, 8)
    for (net, count), steps in itertools.product([("resnet20", 128), *nets[1:]], (3, 8)):
        if f"meta-gradient, {net}, batch {count}, M = {steps}" not in found:
            meta(net, count, steps)
    add("training, resnet18", lambda: training("resnet18", device, TRAINED, 3), 90.0)
    return found


def _later(function: Callable[..., dict[str, Any]], *arguments: Any) -> Figure:
    return lambda: function(*arguments)


def machine(device: str) -> dict[str, Any]:
    """What the figures depend on."""
    gpu = torch.cuda.get_device_name() if device == "cuda" else None
    return {
        "gpu": gpu,
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
    }


def main() -> None:
    """Measure what the time allows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parsed = parser.parse_args()
    until = time.monotonic() + 60 * parsed.minutes
    here = machine(parsed.device)
    record: dict[str, Any] = {"machine": here, "figures": {}}
    if parsed.out and parsed.out.exists():
        record = json.loads(parsed.out.read_text("utf-8"))
        if record["machine"] != here:
            parser.error(f"{parsed.out} was measured elsewhere: {record['machine']}, not {here}")
    for name, (figure, seconds) in figures(parsed.device).items():
        if name in record["figures"] or time.monotonic() + seconds > until:
            continue
        started = time.monotonic()
        try:
            value = figure()
        except Exception as error:  # noqa: BLE001 - the other figures are worth having
            print(f"{name}: failed, {type(error).__name__}: {error}", flush=True)
            continue
        value["measured"] = datetime.now(UTC).date().isoformat()
        record["figures"][name] = value
        took = time.monotonic() - started
        print(f"{name} ({took:.0f} s)\n{json.dumps(value, indent=1)}", flush=True)
        if parsed.out:
            parsed.out.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
