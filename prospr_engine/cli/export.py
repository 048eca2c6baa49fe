"""The command ``export``: the ONNX file of a network that ``run`` trained, proven again."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from prospr_engine.cli import render
from prospr_engine.cli.settings import show
from prospr_engine.errors import ConfigError


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("export", export, "write the ONNX file of a trained network again")
    sub.add_argument("run", help="folder that `run` wrote")
    sub.add_argument("--network", choices=("pruned", "dense"), default="pruned")
    sub.add_argument("--encoding", default="dense", help="how weights are stored (default: dense)")
    sub.add_argument("--out", help="the file (default: NETWORK.onnx in that folder)")


def export(parsed: argparse.Namespace) -> int:
    """Write the file and prove it."""
    from prospr_engine.pipeline.checkpoint import export_again

    out = Path(parsed.out or Path(parsed.run) / f"{parsed.network}.onnx")
    if out.suffix != ".onnx":
        raise ConfigError(f"The file is called {out.name}; give it a name that ends in .onnx.")
    proof = export_again(parsed.run, parsed.network, out, parsed.encoding)
    show(parsed, proof.to_dict(), render.print_proof)
    return 0
