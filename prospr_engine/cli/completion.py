"""The command ``completion``: shell completion for the commands and flags of ``prospr``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

SHELLS = ("bash", "zsh")


def add(command: Callable[..., argparse.ArgumentParser], parser: argparse.ArgumentParser) -> None:
    """Add the command to ``parser``, from which the script is generated."""

    def completion(parsed: argparse.Namespace) -> int:
        import shtab

        parser.prog = "prospr"  # shells complete the arguments of a single command name
        print(shtab.complete(parser, parsed.shell))
        return 0

    sub = command("completion", completion, "print a shell completion script")
    sub.add_argument("shell", choices=SHELLS)
