"""The command ``run``: a complete run, here or in the store."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from prospr_engine.cli import render, store_runs
from prospr_engine.cli.settings import (
    OWN_FOLDER,
    add_settings,
    add_store,
    config_of,
    folder_of,
    show,
)


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("run", run, "score, prune, train, test, export and verify")
    add_settings(sub)
    sub.add_argument("--out", help=f"folder for the results {OWN_FOLDER}")
    sub.add_argument("--overwrite", action="store_true", help="replace another run's results")
    add_store(sub, "run")


def run(parsed: argparse.Namespace) -> int:
    """Compute the run, or let the worker of the store compute it."""
    config = config_of(parsed)
    with render.progress(quiet=parsed.quiet) as on_event:
        if parsed.store is None:
            from prospr_engine.pipeline.run import run as run_here

            out = folder_of(parsed, config)
            result = run_here(config, on_event, out=out, overwrite=parsed.overwrite).to_dict()
        else:
            result = store_runs.compute(
                config, parsed.store, parsed.name, parsed.out, parsed.overwrite, on_event
            )
    show(parsed, result, render.print_result)
    return 0
