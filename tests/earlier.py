"""What version 0.3.0 left behind: see ``tests/data/v0_3_0/make.py``."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data" / "v0_3_0"
EXPECTED: dict[str, Any] = json.loads((DATA / "expectations.json").read_text("utf-8"))


def tree() -> dict[str, str]:
    """Paths of all files that 0.3.0 wrote, and the digests of their contents."""
    with zipfile.ZipFile(DATA / "made.zip") as made:
        return dict(json.loads(made.read("tree.json")))


def unpack(folder: Path, *parts: str) -> Path:
    """Put the files of 0.3.0 into ``folder``: all of them, or those whose paths are one of
    ``parts`` or lie below it."""
    with zipfile.ZipFile(DATA / "made.zip") as made:
        for name, digest in tree().items():
            if not parts or any(name == part or name.startswith(f"{part}/") for part in parts):
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(made.read(digest))
    return folder


def open_store(folder: Path, **limits: float) -> Any:
    """The store in ``folder``, which keeps its runs however old they are by now."""
    from prospr_engine.store.limits import Limits
    from prospr_engine.store.store import Store

    return Store(folder, Limits(**{"keep_days": 1e6, "most_queued_per_visitor": 99, **limits}))


def work_off(folder: Path) -> None:
    """Be the worker of the store in ``folder`` until its queue is empty."""
    from prospr_engine.jobs.worker import work

    work(folder, idle=0.5)
