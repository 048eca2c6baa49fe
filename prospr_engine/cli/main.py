"""The command line: ``python -m prospr_engine COMMAND``, with the commands of ``COMMANDS``.

Results go to standard output (``--json``: one object), progress and errors to standard error.
Exit codes: 0 success; 1 a check failed (``verify``, ``doctor``), one of several runs failed
(``sweep``) or no network met the goal (``search``); 2 an input is wrong or the machine cannot do
it, and the message says what to do; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Sequence
from textwrap import indent

from prospr_engine.cli import (
    bundle,
    completion,
    doctor,
    export,
    inspect,
    run,
    runs,
    score,
    search,
    sweep,
    verify,
)
from prospr_engine.cli import list as list_
from prospr_engine.cli.output import make_writable, replace_closed
from prospr_engine.cli.settings import print_json
from prospr_engine.errors import EngineError, Stopped
from prospr_engine.version import VERSION

COMMANDS = (run, runs, score, export, bundle, verify, list_, inspect, sweep, search, doctor)
"""Modules with ``add``, in the order of the help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    replace_closed()
    make_writable(sys.stdout, sys.stderr)
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.command(parsed)
        sys.stdout.flush()
    except EngineError as error:
        return _fail(parsed, error, 2)
    except KeyboardInterrupt:
        return _fail(parsed, Stopped("Stopped."), 130)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            return _fail(parsed, f"Reading or writing failed: {error}.", 2)
        # The reader of our output has gone (as `| head` does); nobody would see a message.
        sys.stderr.close()
        return 0
    return code


def _fail(parsed: argparse.Namespace, error: object, code: int) -> int:
    code_lines = getattr(error, "code", "")
    below = "\n\n" + indent(code_lines, "    ") if code_lines else ""
    print(f"error: {error}{below}", file=sys.stderr)
    if parsed.json:
        lines = {"code": code_lines} if code_lines else {}
        with contextlib.suppress(OSError):  # standard output itself may be what failed
            print_json({"error": {"type": type(error).__name__, "message": str(error), **lines}})
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prospr_engine",
        description="Prune a network before training, train it beside the dense one, and export "
        "an ONNX file that is verified against its record.",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[..., int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.set_defaults(command=function)
        return sub

    for module in COMMANDS:
        module.add(command)
    completion.add(command, parser)
    return parser
