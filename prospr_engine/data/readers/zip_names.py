"""The names in a zip, where it does not say how they are encoded.

An entry's name is UTF-8 if its flag or its Unicode path field says so. Otherwise the standard means
code page 437, but programs write that of their machine, or UTF-8 without the flag. Which it was is
found by comparing how likely the letters are under each: a name in a wrong code page turns into
rare characters, symbols or a mixture of alphabets.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from prospr_engine.data.readers.code_pages import STANDARD, CodePage, code_pages

UTF8_FLAG = 0x800
UNICODE_PATH = 0x7075  # extra field; APPNOTE.TXT 4.6.9
UNICODE_PATH_BYTES = struct.pack("<H", UNICODE_PATH)
JUDGED = 2_000  # different parts of paths that are compared
CLEAR = 3.0  # nats: the best reading is 20 times as likely as any other
CERTAIN = 6.0  # nats: so likely that folders may depend on it
IN_USE = -9.0  # nats, on average over the characters beyond ASCII: all of them are common
TELLING = re.compile(rb".*[\x80-\xff].?", re.DOTALL)
HOPELESS = -10.0  # on average over the characters beyond ASCII: not text in any of these
ODD = {**dict.fromkeys("[]{}|^`@", -3.0), "\\": -6.0}  # within a name; Windows forbids some
SEPARATOR = -1.5  # for a backslash that may be one: a path has few
MIXED = -5.0  # for a change of alphabet, or from small to capital letters, within a word


@dataclass(frozen=True)
class Names:
    """``paths`` of the entries, in their order, with the separators of the archive.

    ``guessed``: some neither declare an encoding nor are what the standard or UTF-8 makes of them;
    they were read as ``label``, which is "" if no encoding fits. ``sure`` is False if others fit
    nearly as well, ``separable`` if any that is possible disagrees on which backslashes are
    characters.
    """

    paths: tuple[str, ...]
    guessed: bool = False
    label: str = ""
    sure: bool = True
    separable: bool = True


@dataclass(frozen=True)
class Reading:
    """All names in one code page; ``rivals`` fit nearly as well, and read something else;
    ``possible`` are those and less likely ones that cannot be ruled out."""

    codec: str = STANDARD
    label: str = ""
    rivals: tuple[str, ...] = ()
    possible: tuple[str, ...] = ()


def read_names(entries: Sequence[zipfile.ZipInfo]) -> Names:
    """The name of every entry, decoded."""
    declared = [entry.orig_filename if _is_plain(entry) else _declared(entry) for entry in entries]
    raw = [
        b"" if name is not None else _stored(entry)
        for name, entry in zip(declared, entries, strict=True)
    ]
    unknown = {part for name in raw if not name.isascii() for part in name.split(b"/")}
    # Up to the last byte in question: how many numbered files a folder has says nothing.
    parts = sorted({found[0] for part in unknown if (found := TELLING.match(part))})
    slashes = bool(parts) and any("/" in entry.orig_filename for entry in entries)
    best = likeliest(parts, slashes) if parts else Reading(label="ASCII")
    return Names(
        tuple(
            name if name is not None else own.decode(best.codec)
            for name, own in zip(declared, raw, strict=True)
        ),
        guessed=best.codec != "utf-8"
        and any(not best.label or one.decode(best.codec) != one.decode(STANDARD) for one in parts),
        label=best.label,
        sure=not best.rivals,
        separable=all(
            part.decode(best.codec).count("\\") == part.decode(rival).count("\\")
            for rival in best.possible
            for part in parts
        ),
    )


def _is_plain(entry: zipfile.ZipInfo) -> bool:
    """Whether the name is ASCII, which every encoding in question reads alike, and nothing says
    otherwise. Such a name is kept as zipfile has it, without a copy."""
    name = entry.orig_filename
    return name.isascii() and "\0" not in name and UNICODE_PATH_BYTES not in entry.extra


def _declared(entry: zipfile.ZipInfo) -> str | None:
    """The name, if the entry says how it is encoded."""
    if entry.flag_bits & UTF8_FLAG:
        return entry.orig_filename.partition("\0")[0]
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and len(field) > 5 and field[0] == 1:
            (checksum,) = struct.unpack_from("<L", field, 1)
            if checksum == zlib.crc32(_stored(entry)):
                try:
                    return field[5:].decode("utf-8")
                except UnicodeDecodeError:
                    return None
    return None


def _stored(entry: zipfile.ZipInfo) -> bytes:
    """The bytes of a name without the flag, which zipfile decodes as code page 437; so does a
    name that Python itself is about to write."""
    return entry.orig_filename.partition("\0")[0].encode(STANDARD)


def likeliest(parts: Sequence[bytes], slashes: bool) -> Reading:
    """The likeliest reading of different parts of paths. Without ``slashes`` in the archive,
    backslashes may be its separators."""
    whole = b"/".join(parts)
    if _decodes(whole, "utf-8"):  # which names in other encodings hardly ever do
        return Reading("utf-8", "UTF-8")
    judged = b"/".join(parts[:: math.ceil(len(parts) / JUDGED)])
    found = []
    for page in code_pages():
        if _decodes(whole, page.codec):
            text = judged.decode(page.codec)
            found.append((_likelihood(text, page, slashes), text, page))
    likelihood, text, best = max(found, key=lambda one: one[0])
    if likelihood < HOPELESS * sum(not letter.isascii() for letter in text):
        every = tuple(page.codec for _, _, page in found)
        return Reading(rivals=every, possible=every)
    behind = {page: (likelihood - other, its) for other, its, page in found if its != text}
    rivals = [page.codec for page, (distance, _) in behind.items() if distance < CLEAR]
    possible = [
        page.codec
        for page, (distance, its) in behind.items()
        if distance < CERTAIN or (page.wide and not best.wide and _in_use(its, page))
    ]
    return Reading(best.codec, best.label, tuple(rivals), tuple(possible))


def _in_use(text: str, page: CodePage) -> bool:
    letters = [page.letter(letter) for letter in text if not letter.isascii()]
    return sum(letters) >= IN_USE * len(letters)


def _decodes(content: bytes, codec: str) -> bool:
    try:
        content.decode(codec)
    except UnicodeDecodeError:
        return False
    return True


def _likelihood(text: str, page: CodePage, slashes: bool) -> float:
    total, before = page.prior, "/"
    for letter in text:
        if not letter.isascii():
            total += page.letter(letter)
        elif letter == "\\" and not slashes:
            total += SEPARATOR
        else:
            total += ODD.get(letter, 0.0)
        if letter.isalpha() and before.isalpha() and not (letter + before).isascii():
            if not page.mixes and letter.isascii() != before.isascii():
                total += MIXED
            if before.islower() and letter.isupper():
                total += MIXED
        before = letter
    return total
