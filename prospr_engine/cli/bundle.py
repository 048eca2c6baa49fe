"""The command ``bundle``: everything of a run in one zip."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prospr_engine.cli.settings import show
from prospr_engine.errors import ConfigError
from prospr_engine.format import size


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("bundle", bundle, "put everything of a finished run into one zip")
    sub.add_argument("run", help="folder that `run` wrote")
    sub.add_argument("--out", help="file to write (default: the folder's name with .zip)")
    sub.add_argument(
        "--encodings",
        metavar="NAME,…",
        help="ONNX files to put in, by encoding (default: all that the run wrote)",
    )


def bundle(parsed: argparse.Namespace) -> int:
    """Write the zip."""
    from prospr_engine.report.bundle import bundle as write

    folder = Path(parsed.run)
    out = Path(parsed.out) if parsed.out else folder.with_name(f"{folder.resolve().name}.zip")
    if out.suffix != ".zip":
        raise ConfigError(f"The output file {out.name} must have a name that ends in .zip.")
    names = None if parsed.encodings is None else parsed.encodings.split(",")
    wanted = None if names is None else [name.strip() for name in names if name.strip()]
    show(parsed, write(folder, out, wanted).to_dict(), _print)
    return 0


def _print(written: dict[str, Any]) -> None:
    for file in written["files"]:
        print(f"{size(file['bytes']):>10}  {file['name']}")
    print(f"\n{written['path']} ({size(written['bytes'])})")
