"""How long an upload takes to be looked at, and how much memory, each in a separate process.

    python -m benchmarks.uploads [--data IMAGES]

A 45 MB ONNX file (ResNet-18) is checked and imported, as after an upload. ``--data``, such as a zip
of 60,000 images, is previewed, and then made ready for training.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

WORK = ("network", "preview", "ready")


def export(path: Path) -> None:
    """Write a ResNet-18 for images of 32 x 32 pixels to ``path``."""
    import torch

    import prospr_engine as pe
    from prospr_engine.export.export import write_file
    from prospr_engine.export.traced import trace_network

    network = pe.build_model("resnet18", (3, 32, 32), 10, 0).eval()
    write_file(trace_network(network, torch.zeros(2, 3, 32, 32)), path, "dense")


def network(file: str) -> None:
    """Check the file in a process with limits, and import it here."""
    from prospr_engine.models.imports.network_file import load

    load(file)


def preview(file: str) -> None:
    """What the form shows."""
    from prospr_engine.data.preview import preview

    preview(Path(file), Path(file).name)


def ready(file: str) -> None:
    """All images, split and measured."""
    from prospr_engine.config import LoadingConfig
    from prospr_engine.data.load import load

    load(file, LoadingConfig(), 0)


def measured(work: str, file: str) -> None:
    """Do ``work`` in this process, and print the seconds it took and the peak memory in MB."""
    does: Callable[[str], None] = {"network": network, "preview": preview, "ready": ready}[work]
    started = time.perf_counter()
    does(file)
    seconds = time.perf_counter() - started
    status = Path("/proc/self/status").read_text("ascii")
    peak = re.search(r"VmHWM:\s*(\d+) kB", status)
    assert peak, "asks Linux for the peak memory"
    print(json.dumps([seconds, int(peak[1]) / 1e3]))


def main() -> None:
    """Print a line per piece of work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="images, as a run takes them")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    parser.add_argument("--file", help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.work:
        measured(parsed.work, parsed.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder, "resnet18.onnx")
        export(model)
        files = {"network": str(model)}
        if parsed.data:
            files |= {"preview": parsed.data, "ready": parsed.data}
        for work, file in files.items():
            command = [sys.executable, "-m", "benchmarks.uploads", "--work", work, "--file", file]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            seconds, peak = json.loads(done.stdout.splitlines()[-1])
            size = Path(file).stat().st_size / 1e6
            print(f"{work:8} {size:6.1f} MB {seconds:7.1f} s {peak:7.0f} MB at most", flush=True)


if __name__ == "__main__":
    main()
