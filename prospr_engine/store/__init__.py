"""The store of runs: a SQLite database and files by content, without a server.

Many processes may use one store at once: each operation is a short transaction.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from platformdirs import user_data_path

FOLDER = "PROSPR_RUNS"


def default_folder() -> Path:
    """The store of this installation: ``PROSPR_RUNS``, or a folder in the user's data folder."""
    given = os.environ.get(FOLDER)
    if given:
        return Path(given).expanduser()
    # Until 0.3.0 the same on every system; existing runs there stay in use.
    earlier = Path.home() / ".local" / "share" / "prospr" / "runs"
    if sys.platform != "linux" and earlier.is_dir():
        return earlier
    return user_data_path("prospr", appauthor=False) / "runs"
