"""How processes of our own are started."""

from __future__ import annotations

import os
from pathlib import Path

import prospr_engine


def with_package() -> dict[str, str]:
    """The variables of this process, with this package importable from any folder."""
    here = str(Path(prospr_engine.__file__).parents[1])
    path = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": here + (os.pathsep + path if path else "")}
