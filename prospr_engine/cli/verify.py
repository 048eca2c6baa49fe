"""The command ``verify``: repeat the checks of an exported file."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from prospr_engine.cli import render
from prospr_engine.cli.settings import show


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("verify", verify, "check that an exported file matches its record")
    sub.add_argument("file", help="the ONNX file; masks.safetensors beside it is used")


def verify(parsed: argparse.Namespace) -> int:
    """Repeat the checks; returns 1 if the file does not match its record."""
    from prospr_engine.export.verify import verify as check

    proof = check(parsed.file)
    show(parsed, proof.to_dict(), render.print_proof)
    return 0 if proof.ok else 1
