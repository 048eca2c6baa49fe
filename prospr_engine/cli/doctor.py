"""The command ``doctor``: does everything work on this machine?"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from prospr_engine.cli import render
from prospr_engine.cli.settings import show


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    command("doctor", doctor, "check this machine: versions, devices, memory, arithmetic, export")


def doctor(parsed: argparse.Namespace) -> int:
    """Examine the machine; 1 if a check fails."""
    from prospr_engine.cli.machine import examine_machine

    report = examine_machine()
    show(parsed, report, render.print_doctor)
    return 0 if report["ok"] else 1
