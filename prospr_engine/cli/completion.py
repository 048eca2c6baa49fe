"""The command ``completion``: the Tab key for commands and flags of ``prospr``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

SHELLS = ("bash", "zsh")


def add(command: Callable[..., argparse.ArgumentParser], parser: argparse.ArgumentParser) -> None:
    """Add the command to ``parser``, of which the script is made."""

    def completion(parsed: argparse.Namespace) -> int:
        import shtab

        parser.prog = "prospr"  # a shell completes the words after one name
        print(shtab.complete(parser, parsed.shell))
        return 0

    sub = command("completion", completion, "print what lets a shell complete commands and flags")
    sub.add_argument("shell", choices=SHELLS)
