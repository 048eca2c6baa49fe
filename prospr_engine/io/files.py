"""Files: written whole or not at all, with errors that say what to do."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

from prospr_engine.errors import ConfigError, DiskError
from prospr_engine.format import MEGA, brief, megabytes
from prospr_engine.guard import limits

SETTINGS_BYTES = limits.SETTINGS_BYTES.value


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Write ``data`` to ``path``: all of it or nothing, over an earlier file of that name.

    Raises ``DiskError`` if the folder cannot be written to or the disk is full.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise disk_error(path, error) from None


def read_settings(path: str | Path, expected: str) -> Any:
    """The content of a JSON file of settings, in UTF-8, UTF-16 (as some shells of Windows write
    it) or UTF-32. Raises ``ConfigError`` if it cannot be read, is not JSON, or gives a name twice;
    the message says what is ``expected`` ("the config.json of a run")."""
    path = Path(path)
    try:
        with path.open("rb") as file:  # a device or a pipe has no size that could be asked for
            data = file.read(SETTINGS_BYTES + 1)
        if len(data) > SETTINGS_BYTES:
            raise ConfigError(
                f"{path} has more than {megabytes(SETTINGS_BYTES)}, which settings never need; "
                f"give {expected}."
            )
        return json.loads(data, object_pairs_hook=_named_once)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path} is not JSON; give {expected}.") from None


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; raises ``ConfigError`` for a name that it gives twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"The settings give {brief(twice)} twice; remove one of them.")
    return values


def check_unused(folder: Path, fingerprint: str) -> None:
    """Raise ``ConfigError`` if ``folder`` contains a finished run of other settings."""
    result = folder / "result.json"
    if not result.exists():
        return
    try:
        earlier = json.loads(result.read_text("utf-8")).get("fingerprint")
    except (ValueError, RecursionError, AttributeError, OSError):
        earlier = None
    if earlier != fingerprint:
        raise ConfigError(
            f"{folder} already contains the result of another run; choose another folder, or "
            "overwrite it (--overwrite, or overwrite=True)."
        )


def digest_of(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def zipped_size(path: Path) -> int:
    """Bytes of a zip (deflate) that contains only the file."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    size = 98 + 2 * len(path.name.encode())  # the zip's headers, which hold the name twice
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            size += len(deflate.compress(chunk))
    return size + len(deflate.flush())


def check_room(folder: Path, needed: int) -> None:
    """Raise ``DiskError`` if there is no room for ``needed`` bytes in ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskError(
            f"The disk has {megabytes(free)} free, and the files of this run need about "
            f"{megabytes(MEGA * math.ceil(needed / MEGA))}. Choose a smaller model, or ask the "
            "server's administrator to free some space or choose another folder."
        )


def disk_error(path: Path, error: OSError) -> DiskError:
    """The error for a failure to write ``path``, worded for visitors of the dashboard too, who
    cannot choose where files go."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        free = _free_megabytes(path)
        return DiskError(
            f"The disk is full: {path} could not be written ({free}). The server's administrator "
            "must free some space or choose another folder; then run again."
        )
    if isinstance(error, FileExistsError | NotADirectoryError):
        blocking = next((p for p in path.parents if os.path.lexists(p) and not p.is_dir()), path)
        return DiskError(
            f"{path} could not be written: {blocking} is not a folder. Choose another folder."
        )
    return DiskError(
        f"{path} could not be written: {error.strerror or error}. The server's administrator must "
        "choose a writable folder."
    )


def _free_megabytes(path: Path) -> str:
    for folder in path.absolute().parents:
        if folder.exists():
            return f"{megabytes(shutil.disk_usage(folder).free)} free"
    return "free space unknown"
