"""Estimated and measured cost of runs: seconds, and bytes of the zipped file.

    python -m benchmarks.estimate

On the CPU, every run in a separate process, as in the dashboard. The worst ratio is printed last;
the constants in ``prospr_engine/pipeline/estimate.py`` are good enough while it is below two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.models.measures import measure
from prospr_engine.pipeline.estimate import estimate
from prospr_engine.pipeline.images import catalogue

CASES = [
    # model, side in pixels, training images, epochs, calibration batch, sparsity
    ("small_cnn", 8, None, 3, 128, 0.9),
    ("small_cnn", 32, None, 3, 128, 0.5),
    ("mlp", 28, None, 20, 128, 0.98),
    ("lenet5", 28, None, 5, 128, 0.9),
    ("resnet20", 8, None, 3, 128, 0.9),
    ("resnet20", 32, 500, 1, 128, 0.95),
    ("resnet32", 16, 500, 2, 128, 0.8),
    ("wrn28_2", 16, 500, 2, 64, 0.95),
    ("vgg16_bn", 16, 300, 1, 64, 0.9),
    ("resnet18", 32, 200, 1, 32, 0.98),
]


def config_of(case: tuple[Any, ...]) -> RunConfig:
    """The settings of a case."""
    model, side, images, epochs, calibration, sparsity = case
    return RunConfig(
        model=model,
        sparsity=sparsity,
        epochs=epochs,
        device="cpu",
        loading=LoadingConfig(image_size=side, train_limit=images),
        scoring=ScoringConfig(batch_size=calibration),
        training=TrainingConfig(batch_size=None if images is None else 64),
    )


def done(config: RunConfig) -> tuple[dict[str, Any], int]:
    """The result of the run, and the bytes of its zipped ONNX file."""
    with tempfile.TemporaryDirectory() as out:
        settings = Path(out) / "settings.json"
        settings.write_text(json.dumps(config.to_dict()), "utf-8")
        command = [sys.executable, "-m", "prospr_engine", "run", "--config", str(settings)]
        command += ["--json", "--quiet", "--out", f"{out}/run"]
        ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        packed = Path(out) / "model.zip"
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(Path(out) / "run" / "model.onnx", "model.onnx")
        return json.loads(ran.stdout), packed.stat().st_size


def main() -> None:
    """Print a row per case."""
    threads = int(os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 2) - 1))))
    print(f"{threads} threads{'seconds':>22}{'predicted':>11}{'ratio':>7}", end="")
    print(f"{'zipped kB':>12}{'predicted':>11}{'ratio':>7}")
    worst = 1.0
    for case in CASES:
        config = config_of(case)
        images = catalogue(config.data, config.loading.image_size)
        size = measure(config.model, images.channels, images.size, images.classes)
        predicted = estimate(config, images, size, threads=threads)
        result, packed = done(config)
        ratio = predicted.seconds / result["seconds"]
        worst = max(worst, ratio, 1 / ratio)
        print(
            f"{config.model:10} {images.size:3} px, {config.epochs:2} epochs"
            f"{result['seconds']:10.1f}{predicted.seconds:11.1f}{ratio:7.2f}"
            f"{packed / 1e3:12,.0f}{predicted.zipped / 1e3:11,.0f}"
            f"{predicted.zipped / packed:7.2f}",
            flush=True,
        )
    print(f"The time was off by at most a factor of {worst:.2f}.")


if __name__ == "__main__":
    main()
