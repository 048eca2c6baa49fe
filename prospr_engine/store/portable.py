"""Results without paths of the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prospr_engine.io.files import write_atomically
from prospr_engine.pipeline.record import RESULT, relocated


def make_portable(folder: Path) -> dict[str, Any]:
    """Remove the folder's path from its ``result.json``, which visitors may read, and return the
    result. Raises ``OSError`` or ``ValueError`` if there is none."""
    path = folder / RESULT
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    result = relocated(result, ".", {})
    write_atomically(path, json.dumps(result, indent=2) + "\n")
    return result
