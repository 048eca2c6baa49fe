"""Remembering runs: a record in SQLite, files by content, nothing that needs a server.

Many processes may use one store at once: each piece of work is a short transaction.
"""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = "PROSPR_RUNS"


def default_folder() -> Path:
    """The store of this installation: ``PROSPR_RUNS``, or a folder among the user's data."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(data) / "prospr" / "runs"
