"""Download one file: resumed after an interruption, and accepted only if its MD5 matches."""

from __future__ import annotations

import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prospr_engine.errors import DataError, ResourceError
from prospr_engine.format import megabytes
from prospr_engine.io.files import disk_error

TIMEOUT = 30.0  # seconds without an answer
CHUNK = 1 << 18
SPARE = 50_000_000  # bytes that a download leaves free on the disk


@dataclass(frozen=True)
class Remote:
    """A file: its local path, its URLs, and its MD5."""

    path: Path
    urls: tuple[str, ...]
    md5: str


def intact(path: Path, md5: str) -> bool:
    """Whether ``path`` exists and has the checksum ``md5``."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        # MD5 is what the publishers provide; it detects damage, not tampering
        return (
            hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5
        )


def fetch(remote: Remote, advance: Callable[[int], None]) -> None:
    """Make sure that ``remote.path`` exists and is intact, from the first URL that works.

    ``advance`` receives the number of bytes so far; an exception it raises stops the download,
    and the next one resumes. Raises ``DataError`` if every URL fails, ``ResourceError`` if
    the file cannot be written.
    """
    path, part = remote.path, remote.path.with_name(remote.path.name + ".part")
    if intact(path, remote.md5):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(path, error) from None
    reasons = []
    for url in remote.urls:
        # A second time from the start, in case an earlier download left a damaged part.
        for _ in range(2):
            resuming = part.exists()
            try:
                _download(url, part, advance)
                if intact(part, remote.md5):
                    part.replace(path)
                    return
                reason = "the download is damaged (wrong checksum)"
                part.unlink()
            except urllib.error.HTTPError as error:
                error.close()
                reason = f"HTTP {error.code} {error.reason}"
                if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                    part.unlink(missing_ok=True)
            except urllib.error.URLError as error:
                reason = str(error.reason)
                break
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                break
            if not resuming:
                break
        reasons.append(f"{urlsplit(url).netloc}: {reason}")
    raise DataError(
        f"{path.name} could not be downloaded ({'; '.join(reasons)}). Check the network and run "
        f"again, or put the file into {path.parent} yourself ({remote.urls[0]}). The data set "
        "'digits' needs no network."
    )


def _download(url: str, part: Path, advance: Callable[[int], None]) -> None:
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "prospr-engine"} | ({"Range": f"bytes={done}-"} if done else {})
    with urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT
    ) as answer:
        resumed = (answer.headers.get("Content-Range") or "").startswith(f"bytes {done}-")
        done = done if resumed else 0
        length = answer.headers.get("Content-Length")
        _check_space(part, int(length or 0))
        expected = done + int(length) if length else None
        try:
            file = part.open("ab" if resumed else "wb")
        except OSError as error:
            raise _not_writable(part, error) from None
        with file:
            while chunk := answer.read(CHUNK):
                try:
                    file.write(chunk)
                except OSError as error:
                    raise disk_error(part, error) from None
                done += len(chunk)
                advance(done)
    if expected is not None and done < expected:
        raise ConnectionError(f"the connection was lost after {megabytes(done)}")


def _check_space(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed + SPARE > free:
        name = part.name.removesuffix(".part")
        raise ResourceError(
            f"The disk is full: {name} needs {megabytes(needed)}, and {part.parent} has "
            f"{megabytes(free)} free. Free some space, or set PROSPR_DATA to a folder on "
            "another disk."
        )


def _not_writable(path: Path, error: OSError) -> ResourceError:
    return ResourceError(
        f"{path.parent} cannot be written to ({error.strerror}). Set PROSPR_DATA to a folder "
        "you can write to."
    )
