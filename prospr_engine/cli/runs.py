"""The command ``runs``: list the runs of a store, stop or delete one, or rebuild its database."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from prospr_engine.cli import render_runs, store_runs
from prospr_engine.cli.settings import STORE_HELP, show


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("runs", runs, "list the runs in the dashboard's store, stop or delete one")
    sub.add_argument("--store", default="", metavar="DIR", help=f"folder of the store {STORE_HELP}")
    choice = sub.add_mutually_exclusive_group()
    choice.add_argument("--stop", metavar="ID", help="stop a run; the start of its id is enough")
    choice.add_argument("--delete", metavar="ID", help="delete a run and its files")
    choice.add_argument(
        "--rebuild",
        action="store_true",
        help="rebuild a lost or damaged database from the files of finished runs",
    )


def runs(parsed: argparse.Namespace) -> int:
    """List the runs, stop or delete one, or rebuild the database."""
    if parsed.stop is not None:
        show(parsed, store_runs.stop(parsed.store, parsed.stop), render_runs.print_state)
    elif parsed.delete is not None:
        show(parsed, store_runs.delete(parsed.store, parsed.delete), render_runs.print_deleted)
    elif parsed.rebuild:
        show(parsed, store_runs.rebuild(parsed.store), render_runs.print_rebuilt)
    else:
        show(parsed, {"runs": store_runs.all_runs(parsed.store)}, render_runs.print_runs)
    return 0
