"""Remembering runs: a record in SQLite, files by content, nothing that needs a server.

Many processes may use one store at once: each piece of work is a short transaction.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from platformdirs import user_data_path

FOLDER = "PROSPR_RUNS"


def default_folder() -> Path:
    """The store of this installation: ``PROSPR_RUNS``, or a folder among the user's data."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given).expanduser()
    # Until 0.3.0 the same on every system; whoever has runs there keeps them.
    earlier = Path.home() / ".local" / "share" / "prospr" / "runs"
    if sys.platform != "linux" and earlier.is_dir():
        return earlier
    return user_data_path("prospr", appauthor=False) / "runs"
