"""The folder of a sweep or a search: locked by one process at a time, and used for nothing else."""

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
    """Lock ``folder`` for this process, and write the settings there as ``sweep.json`` or
    ``search.json``.

    Raises ``ConfigError`` if another process has locked it, or as ``check_folder`` does;
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
            f"Another process is running the {kind} in {folder}; wait until it ends, or choose "
            "another folder."
        ) from None
    except OSError as error:
        raise disk_error(folder, error) from None
    try:
        check_folder(folder, config)  # again: another process may have been faster
        write_atomically(folder / f"{kind}.json", json.dumps(config.to_dict(), indent=2) + "\n")
        yield
    finally:
        lock.release()


def check_folder(folder: Path, config: Config) -> None:
    """Raise ``ConfigError`` if ``folder`` contains something else: other files, or runs that differ
    from those of ``config`` in more than what is compared. Work with other methods, sparsities or
    seeds may continue there: finished runs are not repeated."""
    kind = KINDS[type(config)]
    file = folder / f"{kind}.json"
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; give a folder for the {kind}.")
    if not file.exists():
        inside = next((path for path in _inside(folder) if not path.name.startswith(".")), None)
        if inside:
            raise ConfigError(
                f"{folder} is not the folder of a {kind} (it contains {inside.name}); choose "
                "another folder."
            )
        return
    try:
        there = shared_settings(type(config).read(file))
    except ConfigError as error:
        raise ConfigError(
            f"{folder} contains a {kind} that cannot be read ({error}) Choose another folder."
        ) from None
    here = shared_settings(config)
    for name in here:
        if there[name] != here[name]:
            raise ConfigError(
                f"{folder} contains a {kind} with a different {name}: {_text(there[name])} there, "
                f"{_text(here[name])} here. Choose another folder."
            )


def _inside(folder: Path) -> Iterator[Path]:
    try:
        yield from sorted(folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise disk_error(folder, error) from None


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict) else str(value)
