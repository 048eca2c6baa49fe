"""A page without an engine behind it: jobs that tell what the test wants told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

from prospr_engine.config import RunConfig
from prospr_engine.jobs.job import Job

ROOT = Path(__file__).parents[2]

LAYERS = [
    {"name": "0.0.weight", "total": 144, "kept": 113, "effective": 113},
    {"name": "1.0.weight", "total": 4608, "kept": 1489, "effective": 1489},
    {"name": "6.weight", "total": 640, "kept": 0, "effective": 0},
]
HISTORY = [
    {
        "network": network,
        "epoch": epoch,
        "epochs": 3,
        "validation_accuracy": 0.9 + epoch / 100,
        "train_loss": 1 / epoch,
    }
    for epoch in (1, 2, 3)
    for network in ("dense", "pruned")
]
RESULT: dict[str, Any] = {
    "accuracy": {"dense": 0.972, "pruned": 0.961},
    "sparsity": {"requested": 0.9, "achieved": 0.89999, "effective": 0.91},
    "layers": LAYERS,
    "findings": [
        {"level": "fine", "text": "The ranking can be trusted.", "layer": None},
        {
            "level": "warning",
            "text": "Layer 6.weight lost all of its 640 weights.",
            "layer": "6.weight",
        },
    ],
    "trust": {"trusted": True, "verdict": "The ranking can be trusted."},
    "config": RunConfig().to_dict(),
    "history": HISTORY,
    "data": {
        "classes": list("0123456789"),
        "split": {"train": 1294, "validation": 144, "test": 359},
    },
    "onnx": {
        "bytes": 254_422,
        "ok": True,
        "checks": [{"name": "onnx", "ok": True, "text": "The ONNX checker finds no fault."}],
    },
    "environment": {"threads": 1},
    "seconds": 33.4,
}


class FakeLine:
    """Takes jobs and leaves what becomes of them to the test."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.jobs: list[Job] = []

    def start(self, config: RunConfig) -> Job:
        number = len(self.jobs)
        self.jobs.append(Job(f"job{number}", config, self.folder / str(number), 1.0))
        return self.jobs[-1]

    def find(self, id: str) -> Job | None:
        return next((job for job in self.jobs if job.id == id), None)

    def ahead(self, job: Job) -> int:
        return self.jobs.index(job)


def words(at: AppTest) -> str:
    """All that is written on the page."""
    kinds = (at.title, at.header, at.markdown, at.caption, at.error, at.warning)
    return "\n".join(element.value for kind in (*kinds, at.info) for element in kind)


def new() -> AppTest:
    """The app, not drawn yet."""
    return AppTest.from_file(str(ROOT / "app" / "streamlit_app.py"), default_timeout=20)
