"""The preset run, as a first-time user starts it: time and peak memory of the whole command.

    python -m benchmarks.preset

Digits, small_cnn, ProsPr with 3 steps, dense and pruned trained, exported and verified.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time

SETTINGS = ["--model", "small_cnn", "--data", "digits", "--method", "prospr"]
SETTINGS += ["--sparsity", "0.9", "--epochs", "3", "--seed", "0", "--json", "--quiet"]


def main() -> None:
    """Run it once and print its cost."""
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        command = [sys.executable, "-m", "prospr_engine", "run", *SETTINGS, "--out", out]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        seconds = time.perf_counter() - started
    result = json.loads(done.stdout)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3
    print(f"{seconds:.1f} s in all, {peak:,.0f} MB at most, verified: {result['onnx']['ok']}")
    print(
        f"test accuracy: dense {result['accuracy']['dense']:.1%}, "
        f"pruned {result['accuracy']['pruned']:.1%}"
    )


if __name__ == "__main__":
    main()
