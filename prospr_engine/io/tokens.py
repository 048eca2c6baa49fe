"""Names for uploaded files that reveal nothing about the server.

Settings, results and files refer to an upload by its token, ``upload:<SHA-256>/<file name>``.
The worker finds the file in the folder that the environment variable ``PROSPR_UPLOADS`` names; a
token reveals only the digest of the content and the name its owner gave it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from prospr_engine.errors import ConfigError
from prospr_engine.guard import limits

FOLDER = "PROSPR_UPLOADS"
PREFIX = "upload:"
LONGEST = limits.FILE_NAME_CHARACTERS.value
NAMELESS = "file"
TOKEN = re.compile(rf"{PREFIX}([0-9a-f]{{64}})/(.+)", re.DOTALL)
# Path separators, quotation marks and what Windows forbids; unprintable characters go anyway.
FORBIDDEN = frozenset('/\\"<>|:*?')


def is_token(text: object) -> bool:
    """Does ``text`` look like a token? ``locate`` checks that it is one."""
    return isinstance(text, str) and text.startswith(PREFIX)


def token(digest: str, name: str) -> str:
    """The token of a file with that SHA-256 (64 hex digits) and file name."""
    return f"{PREFIX}{digest}/{clean_name(name)}"


def display_name(text: str) -> str:
    """The name to show for the file that a token or path names; safe to show to anyone."""
    if is_token(text):
        match = TOKEN.fullmatch(text)
        return clean_name(match[2]) if match else "the uploaded file"
    return Path(text).name or text


def locate(text: str, folder: Path | None = None) -> Path:
    """The file that a token names, in ``folder`` or in that of the environment; any other text is
    returned as a path.

    Raises ``ConfigError`` if the token is malformed, or if its file is not on this machine.
    """
    if not is_token(text):
        return Path(text)
    match = TOKEN.fullmatch(text)
    if not match or match[2] != clean_name(match[2]):
        raise ConfigError(
            "The settings refer to an uploaded file in an invalid way. Upload the file again."
        )
    digest, name = match.groups()
    place = folder or os.environ.get(FOLDER)
    path = Path(place, digest + Path(name).suffix.lower()) if place else None
    if path is None or not path.is_file():
        raise ConfigError(
            f"The uploaded file {name} is no longer available. Upload it again, or give the path "
            "of a copy."
        )
    return path


def absolute(text: str) -> str:
    """``text`` as a path that is the same from every folder; a token stays as it is."""
    return text if is_token(text) else str(Path(text).expanduser().absolute())


def digest_in(text: str) -> str:
    """The SHA-256 in a token; "" if ``text`` is not a token."""
    match = TOKEN.fullmatch(text)
    return match[1] if match else ""


def clean_name(name: str) -> str:
    """``name`` as one printable part of a path, at most 80 characters, never empty.

    A browser may send any text as a file name; the result is safe in a path, in JSON and on a
    page. Cleaning twice changes nothing.
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = (" " if c.isspace() else c for c in last if c.isspace() or c.isprintable())
    plain = "".join("_" if c in FORBIDDEN else c for c in shown)
    plain = _trimmed(unicodedata.normalize("NFC", " ".join(plain.split())))
    stem, dot, ending = plain.rpartition(".")
    if dot and len(ending) < 16:
        room = LONGEST - 1 - len(ending)
        return f"{_trimmed(stem[:room])}.{ending}"
    return _trimmed(plain[:LONGEST]) or NAMELESS


def _trimmed(name: str) -> str:
    return name.strip(" .")
