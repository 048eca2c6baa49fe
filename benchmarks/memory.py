"""Memory and time of a run on photographs, in memory and decoded whenever they are needed.

    python -m benchmarks.memory [--images 1000] [--model lenet5]

JPEG files of 500 x 375 pixels are made, and scaled to 224 x 224 by a run on so many of them and by
one on four times as many, each in a separate process, in both ways. Only the number of training
images differs. The default network is so small that training waits for the threads that decode:
with larger ones, decoding costs less.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

SIDE = 224
OTHERS = 64  # validation images, and test images
MEGA = 1e6


@dataclass(frozen=True)
class Row:
    """What a run took: peak memory, seconds for all but training, and seconds of an epoch of one
    network."""

    peak_mb: float
    rest: float
    epoch: float


def draw(folder: Path, part: str, count: int) -> None:
    """Make ``count`` photographs of two classes: smooth noise, as large in a file as real ones."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(count)
    for number in range(count):
        place = folder / part / ("light" if number % 2 else "dark") / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 200, (94, 125, 3), dtype=np.uint8) + np.uint8(55 * (number % 2))
        picture = Image.fromarray(coarse).resize((500, 375), Image.Resampling.BICUBIC)
        picture.save(place, quality=85)


def run(folder: str, images: int, model: str, kept: bool) -> None:
    """Do a run in this process, and print its ``Row``."""
    import prospr_engine as pe
    from prospr_engine.data import memory

    # All or nothing may be kept, whatever this machine has.
    memory.room = lambda: None if kept else 0
    result = pe.run(
        pe.RunConfig(
            model=model,
            data=folder,
            method="magnitude",
            epochs=1,
            device="cpu",
            encodings=(),
            loading=pe.LoadingConfig(train_limit=images, image_size=SIDE),
            training=pe.TrainingConfig(batch_size=32, lr=1e-3, augmentation="none"),
        )
    )
    epochs = [epoch.seconds for epoch in result.history]
    status = Path("/proc/self/status").read_text("ascii")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert peak, "asks Linux for the peak memory"
    row = Row(int(peak[1]) / 1e3, result.seconds - sum(epochs), sum(epochs) / len(epochs))
    print(json.dumps(asdict(row)))


def measured(folder: str, images: int, model: str, kept: bool) -> Row:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.memory", "--model", model, "--images", str(images)]
    done = subprocess.run(
        [*command, "--folder", folder, *(["--kept"] if kept else [])],
        stdout=subprocess.PIPE,
        env={**os.environ, "PROSPR_TIMING": "0"},
        text=True,
        check=True,
    )
    return Row(**json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print a row per run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--kept", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        run(options.folder, options.images, options.model, options.kept)
        return
    peaks: dict[bool, list[float]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder:
        for part, count in (
            ("train", 4 * options.images), ("validation", OTHERS), ("test", OTHERS)
        ):  # fmt: skip
            draw(Path(folder), part, count)
        print(f"{options.model}, {SIDE} x {SIDE} pixels, {os.cpu_count()} cores")
        print(f"{'images':>8}{'pixels MB':>11}{'in memory':>11}{'peak MB':>9}", end="")
        print(f"{'epoch s':>9}{'rest s':>8}")
        for kept in (True, False):
            for images in (options.images, 4 * options.images):
                row = measured(folder, images, options.model, kept)
                peaks[kept].append(row.peak_mb)
                pixels = (images + 2 * OTHERS) * 3 * SIDE**2 / MEGA
                print(
                    f"{images:8,}{pixels:11,.0f}{'yes' if kept else 'no':>11}{row.peak_mb:9,.0f}"
                    f"{row.epoch:9.1f}{row.rest:8.1f}",
                    flush=True,
                )
    for kept, (few, many) in peaks.items():
        way = "in memory" if kept else "decoded when needed"
        print(f"Four times the images, {way}: {many - few:+,.0f} MB, {many / few:.2f} times.")


if __name__ == "__main__":
    main()
