"""How much faster a file is than that of the dense network, in ONNX Runtime on this machine.

    python -m benchmarks.latency [--model resnet18] [--size 32] [--out FILE]

The networks are not trained: time does not depend on the weights. Weights are removed by magnitude;
of the narrow networks every layer has a share of its channels. Each file takes turns with that of
the dense network, on one thread, and the figures are ratios within a turn.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

import prospr_engine as pe
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.export.export import write_file
from prospr_engine.export.latency import REFERENCE, measure
from prospr_engine.export.traced import trace_network
from prospr_engine.structured.groups import find_groups
from prospr_engine.structured.surgery import cut

SPARSITY = 0.9
WIDTHS = (0.5, 0.25)


def narrow(network: nn.Module, sample: Tensor, width: float) -> nn.Module:
    """The network with that share of the channels in every layer."""
    groups = find_groups(network, sample)
    kept = {}
    for group in groups:
        kept[group.name] = torch.zeros(group.channels, dtype=torch.bool)
        kept[group.name][: round(width * group.channels)] = True
    return cut(network, groups, kept).eval()


def files(model: str, size: int, folder: Path) -> dict[str, Path]:
    """The dense network, its pruned files, and the narrow networks."""
    shape = (3, size, size)
    sample = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    network = pe.build_model(model, shape, 10, 0).eval()
    found = {REFERENCE: folder / "unpruned.onnx"}
    write_file(trace_network(network, sample), found[REFERENCE], "dense")
    masks = pe.score(network, [], method="magnitude").masks(SPARSITY)
    masks.apply_to(network)
    traced = trace_network(network, sample, masks)
    for name, row in ENCODINGS.items():
        found[f"{name}, {SPARSITY:.0%} removed"] = path = folder / row.file()
        write_file(traced, path, name, calibration=[sample])
    for width in WIDTHS:
        found[f"every width × {width}"] = path = folder / f"narrow-{width}.onnx"
        write_file(trace_network(narrow(network, sample, width), sample), path, "dense")
    return found


def main() -> None:
    """Print a line per file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--out", type=Path)
    parsed = parser.parse_args()
    values: dict[str, object] = {"model": parsed.model, "size": parsed.size}
    with tempfile.TemporaryDirectory() as folder:
        found = files(parsed.model, parsed.size, Path(folder))
        dense = found.pop(REFERENCE)
        for name, path in found.items():
            timed = measure({REFERENCE: dense, name: path}, (3, parsed.size, parsed.size))
            values[name] = timed.to_dict()
            for timing in timed.timings:
                if timing.file != REFERENCE:
                    print(
                        f"{name:28} batch {timing.batch:2} {timing.median_ms:8.2f} ms, "
                        f"{timing.speedup:5.2f} times as fast ({timing.low_speedup:.2f} to "
                        f"{timing.high_speedup:.2f}, {timing.turns} turns)",
                        flush=True,
                    )
    if parsed.out:
        parsed.out.write_text(json.dumps(values, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
