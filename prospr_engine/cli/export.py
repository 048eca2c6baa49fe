"""The command ``export``: write and verify the ONNX file of a trained network again."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from prospr_engine.cli import render
from prospr_engine.cli.settings import show
from prospr_engine.errors import ConfigError
from prospr_engine.export.encodings import ENCODINGS, PRIMARY


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("export", export, "write the ONNX file of a trained network again")
    sub.add_argument("run", help="folder that `run` wrote")
    sub.add_argument("--network", choices=("pruned", "dense"), default="pruned")
    sub.add_argument(
        "--encoding", default=PRIMARY, help=f"how weights are stored (default: {PRIMARY})"
    )
    sub.add_argument("--out", help="file to write (default: NETWORK.onnx in that folder)")


def export(parsed: argparse.Namespace) -> int:
    """Write the file and verify it."""
    from prospr_engine.pipeline.checkpoint import export_again

    name = ENCODINGS.find(parsed.encoding).file(parsed.network)
    out = Path(parsed.out or Path(parsed.run) / name)
    if out.suffix != ".onnx":
        raise ConfigError(f"The output file {out.name} must have a name that ends in .onnx.")
    proof = export_again(parsed.run, parsed.network, out, parsed.encoding)
    show(parsed, proof.to_dict(), render.print_proof)
    return 0
