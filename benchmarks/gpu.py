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
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import prospr_engine as pe
from benchmarks.metagradient import gradient, unrolled
from prospr_engine.events import EpochEnded, Event
from prospr_engine.network import point
from prospr_engine.network.device import exact_kernels, is_out_of_memory
from prospr_engine.network.functional import Network
from prospr_engine.saliency.diagnostics import shared_share

SPARSITY = 0.95
REPEATS = 3
TRAINED = 50_000
"""Images of an epoch, as many as CIFAR-10 has for training."""
EPOCHS = 160
LAYOUTS = (torch.contiguous_format, torch.channels_last)
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


def formats(name: str, count: int, device: str) -> dict[str, Any]:
    """Milliseconds of a training gradient in every number format and layout, and of the engine's
    own, which does without a second derivative, and with it."""
    found: dict[str, Any] = {}
    for dtype, layout in itertools.product((torch.float32, torch.float64), LAYOUTS):
        model, x, y = network_and_batch(name, count, device)
        model = model.to(dtype).to(memory_format=layout)
        x = x.to(dtype).contiguous(memory_format=layout)
        for tf32 in (False, True) if dtype == torch.float32 else (False,):
            kernels = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=tf32)
            with kernels:
                took = milliseconds(lambda m=model, x=x, y=y: gradient(m, x, y))
            found[f"{dtype}, {layout}{', TF32' if tf32 else ''}"] = took
    model, x, y = network_and_batch(name, count, device)
    network = Network(model, "float32")
    (batch,) = network.batches([(x, y)])
    found["engine"] = milliseconds(lambda: network.gradient(network.start, batch, 0))
    found["engine, with a graph for the second"] = milliseconds(
        lambda: network.linearised(network.start, batch, 0)
    )
    return found


def rounding(name: str, count: int, device: str, steps: int = 3) -> dict[str, Any]:
    """How far gradients in float32 are from those in float64, relative to their length, at the
    places that a look-ahead visits. From ``point.SIMILAR`` on the default repeats a product
    in float64."""
    model, x, y = network_and_batch(name, count, device)
    single, double = Network(model, "float32"), Network(model, "float64")
    (one,), (two,) = single.batches([(x, y)]), double.batches([(x, y)])
    place, found = double.start, []
    for step in range(steps):
        exact = double.gradient(place, two, step)[1]
        rounded = point.converted(
            single.gradient(point.converted(place, single), one, step)[1], double
        )
        found.append(point.norm(point.add(rounded, exact, -1.0)) / point.norm(exact))
        place = point.add(place, exact, -0.1)
    return {"by step": found, "limit": point.SIMILAR}


def training_step(name: str, count: int, device: str) -> dict[str, Any]:
    """Milliseconds of one step of training in bfloat16 on images that lie on the device: as it is
    written, with a fused optimiser, and as a CUDA graph, which saves the launches."""
    found: dict[str, Any] = {}
    for way in ("plain", "fused", "captured"):
        model, x, y = network_and_batch(name, count, device)
        model = model.to(memory_format=torch.channels_last)
        x = x.contiguous(memory_format=torch.channels_last)
        fused = way != "plain"
        rate = torch.tensor(0.1, device=device) if fused else 0.1
        optimizer = torch.optim.SGD(model.parameters(), rate, 0.9, weight_decay=5e-4, fused=fused)

        def step(
            model: nn.Module = model,
            optimizer: torch.optim.Optimizer = optimizer,
            x: Tensor = x,
            y: Tensor = y,
        ) -> None:
            with torch.autocast(device, torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

        with exact_kernels():
            found[way] = milliseconds(_captured(step) if way == "captured" else step, repeats=30)
    return found


def _captured(step: Callable[[], object]) -> Callable[[], object]:
    """``step`` as a CUDA graph, after the warm-up that capturing asks for."""
    beside = torch.cuda.Stream()
    beside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(beside):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


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
            partial(meta_gradient, net, count, steps, device),
            40.0,
        )

    for net, count in nets:
        meta(net, count, 3)
    net, count = nets[0]
    add("training, resnet20", partial(training, "resnet20", device, TRAINED, 3), 60.0)
    add(
        f"authors' way on the processor, {net}, batch {count}, M = 3",
        partial(on_the_processor, net, count, 3),
        60.0,
    )
    for figure, title, seconds in (
        (same_weights, "same weights", 30.0),
        (rounding, "rounding of gradients", 15.0),
        (formats, "number formats", 15.0),
    ):
        for net, count in (("resnet20", 128), *nets):
            add(f"{title}, {net}, batch {count}", partial(figure, net, count, device), seconds)
    if device == "cuda":
        for net, count in (("resnet20", 128), ("resnet20", 512), ("resnet18", 128)):
            name = f"training step, {net}, batch {count}"
            add(name, partial(training_step, net, count, device), 15.0)
    for net, count in nets:
        meta(net, count, 8)
    for (net, count), steps in itertools.product([("resnet20", 128), *nets[1:]], (3, 8)):
        if f"meta-gradient, {net}, batch {count}, M = {steps}" not in found:
            meta(net, count, steps)
    add("training, resnet18", partial(training, "resnet18", device, TRAINED, 3), 90.0)
    return found


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
