"""The folder of a sweep or a search: held by one process at a time, and by nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prospr_engine.errors import ConfigError
from prospr_engine.identity import shared_settings
from prospr_engine.io.files import disk_error, write_atomically
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

Config = SweepConfig | SearchConfig

KINDS: dict[type, str] = {SweepConfig: "sweep", SearchConfig: "search"}


@contextlib.contextmanager
def claimed(folder: Path, config: Config) -> Iterator[None]:
    """Work in ``folder`` as the only process that does; the settings are written there, as
    ``sweep.json`` or ``search.json``.

    Raises ``ConfigError`` if another process works there, or as ``check_folder`` does;
    ``DiskError`` if nothing can be written there.
    """
    kind = KINDS[type(config)]
    check_folder(folder, config)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"Another process works on the {kind} in {folder}; wait until it has ended, or choose "
            "another folder."
        ) from None
    except OSError as error:
        raise disk_error(folder, error) from None
    try:
        check_folder(folder, config)  # again: another process may have been quicker
        write_atomically(folder / f"{kind}.json", json.dumps(config.to_dict(), indent=2) + "\n")
        yield
    finally:
        lock.release()


def check_folder(folder: Path, config: Config) -> None:
    """Raise ``ConfigError`` if ``folder`` holds something else: files of another kind, or runs
    that differ from those of ``config`` in more than what is compared. With other methods,
    sparsities or seeds the work may go on there: what is known is not computed again."""
    kind = KINDS[type(config)]
    file = folder / f"{kind}.json"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder for the {kind}.")
    if not file.exists():
        inside = next((path for path in _inside(folder) if not path.name.startswith(".")), None)
        if inside:
            raise ConfigError(
                f"{folder} holds something else than a {kind} ({inside.name}); choose another "
                "folder."
            )
        return
    try:
        there = shared_settings(type(config).read(file))
    except ConfigError as error:
        raise ConfigError(
            f"{folder} holds a {kind} that cannot be read ({error}) Choose another folder."
        ) from None
    here = shared_settings(config)
    for name in here:
        if there[name] != here[name]:
            raise ConfigError(
                f"{folder} holds a {kind} with another setting of {name}: {_told(there[name])} "
                f"there, {_told(here[name])} here. Choose another folder."
            )


def _inside(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(folder, error) from None


def _told(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)
