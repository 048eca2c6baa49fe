"""The command ``verify``: the proof of an exported file, repeated."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from prospr_engine.cli import render
from prospr_engine.cli.settings import show


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("verify", verify, "prove that an exported file is what its label says")
    sub.add_argument("file", help="the ONNX file; masks.safetensors beside it is used")


def verify(parsed: argparse.Namespace) -> int:
    """Repeat the proof; 1 if the file is not what its label says."""
    from prospr_engine.export.verify import verify as prove

    proof = prove(parsed.file)
    show(parsed, proof.to_dict(), render.print_proof)
    return 0 if proof.ok else 1
