"""Does everything work on this machine? Versions, devices, free space, and two small checks."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from prospr_engine.data.memory import available_bytes
from prospr_engine.data.torchvision_sets import data_folder
from prospr_engine.errors import EngineError
from prospr_engine.format import GIGA
from prospr_engine.network.device import pick_device
from prospr_engine.pipeline.result import environment
from prospr_engine.saliency.score import score

TOLERANCE = 1e-9


def examine_machine() -> dict[str, Any]:
    """A JSON-ready report; ``ok`` is False if a check failed, and that check's text says why."""
    device = pick_device("auto")
    folder = data_folder()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = available_bytes()
    checks = [_check_arithmetic(device), _check_export()]
    return {
        "ok": all(check["ok"] for check in checks),
        "environment": environment(device),
        "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
        "memory_available_gb": None if free is None else round(free / GIGA, 1),
        "data_folder": str(folder),
        "disk_free_gb": round(shutil.disk_usage(existing).free / GIGA, 1),
        "checks": checks,
    }


def _check_arithmetic(device: torch.device) -> dict[str, Any]:
    """The engine's meta-gradient on this device against plain differentiation on the CPU."""
    generator = torch.Generator().manual_seed(0)
    model = _small_network(generator)
    x = torch.randn(16, 1, 6, 6, generator=generator, dtype=torch.float64)
    y = torch.arange(16) % 3
    expected = _unrolled(model, x, y, steps=2, lr=0.1)
    if device.type == "mps":
        device = torch.device("cpu")  # Apple's GPUs have no double precision.
    found = score(model.to(device), [(x, y)], steps=2, lr=0.1)
    error = max(
        ((found[name].cpu() - expected[name]).abs().max() / expected[name].max()).item()
        for name in expected
    )
    return {
        "name": "meta-gradient",
        "ok": error < TOLERANCE,
        "text": f"The meta-gradient on {device} agrees with plain unrolled differentiation to "
        f"{error:.1e} of the largest score.",
    }


def _small_network(generator: torch.Generator) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        return nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(),
            nn.Linear(144, 3),
        ).double()  # fmt: skip


def _unrolled(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, lr: float
) -> dict[str, torch.Tensor]:
    """|w ⊙ ∂L/∂θ⁰| from one graph through all steps: slow, obvious, and independent of ours."""
    start = {n: p.detach().clone().requires_grad_() for n, p in model.named_parameters()}
    point = dict(start)
    for _ in range(steps):
        loss = F.cross_entropy(torch.func.functional_call(model.train(), point, (x,)), y)
        gradients = torch.autograd.grad(loss, list(point.values()), create_graph=True)
        point = {name: p - lr * g for (name, p), g in zip(point.items(), gradients, strict=True)}
    loss = F.cross_entropy(torch.func.functional_call(model, point, (x,)), y)
    gradients = torch.autograd.grad(loss, list(start.values()))
    return {
        name: (p * g).detach().abs()
        for (name, p), g in zip(start.items(), gradients, strict=True)
        if name in {"0.weight", "4.weight"}
    }


def _check_export() -> dict[str, Any]:
    from prospr_engine.export.export import export_onnx

    model = _small_network(torch.Generator().manual_seed(1)).float()
    with tempfile.TemporaryDirectory() as folder:
        try:
            proof = export_onnx(model, Path(folder) / "model.onnx", torch.zeros(1, 1, 6, 6))
        except EngineError as error:
            return {"name": "export", "ok": False, "text": str(error)}
    return {
        "name": "export",
        "ok": proof.ok,
        "text": f"An exported network matches PyTorch to within {proof.max_abs_error:.1e}.",
    }
