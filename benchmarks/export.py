"""What a file takes in each encoding: bytes, alone in a zip, seconds to write, and to answer.

    python -m benchmarks.export [--model resnet18] [--sparsity 0.95]

Weights are removed by magnitude, the network is not trained. It is traced once; of each file, the
seconds to encode it, and to write and prove it. The 8-bit file is calibrated on 128 inputs.
Latency is that of ONNX Runtime on one thread for one image of 32×32, the files taking turns, as a
ratio to the dense file's.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import torch

import prospr_engine as pe
from prospr_engine.export.encodings import ENCODINGS, PRIMARY
from prospr_engine.export.export import write_file
from prospr_engine.export.traced import trace_network

ROUNDS = 200


def latencies(files: dict[str, Path]) -> dict[str, float]:
    """Median seconds for one image, by encoding."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    sessions = {
        name: onnxruntime.InferenceSession(str(path), options) for name, path in files.items()
    }
    taken: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(ROUNDS):
        for name, session in sessions.items():
            started = time.perf_counter()
            session.run(None, {"input": image})
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Print a line per encoding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--sparsity", type=float, default=0.95)
    parsed = parser.parse_args()
    network = pe.build_model(parsed.model, (3, 32, 32), 10, 0)
    masks = pe.score(network, [], method="magnitude").masks(parsed.sparsity)
    masks.apply_to(network)
    draw = torch.Generator().manual_seed(0)
    batches = [torch.randn(32, 3, 32, 32, generator=draw) for _ in range(4)]
    started = time.perf_counter()
    traced = trace_network(network, batches[0], masks)
    print(f"traced in {time.perf_counter() - started:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        files, encoding, writing = {}, {}, {}
        for name, row in ENCODINGS.items():
            files[name] = Path(folder) / row.file()
            model, more = traced.model(), [[b.numpy() for b in batches]] if row.calibrated else []
            started = time.perf_counter()
            row.load()(model, traced.masks, *more)
            encoding[name] = time.perf_counter() - started
            started = time.perf_counter()
            write_file(traced, files[name], name, calibration=batches)
            writing[name] = time.perf_counter() - started
        taken = latencies(files)
        for name, path in files.items():
            with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
                archive.write(path, path.name)
            zipped = path.with_suffix(".zip").stat().st_size
            print(
                f"{name:13} {path.stat().st_size / 1e6:7.2f} MB, zipped {zipped / 1e6:6.2f} MB, "
                f"encoded in {encoding[name]:4.1f} s, written in {writing[name]:4.1f} s, "
                f"latency {taken[name] / taken[PRIMARY]:.2f} of dense"
            )


if __name__ == "__main__":
    main()
