"""What the pages of a Parquet file take when unpacked, from their headers alone.

A file may say one thing in its summary and another in its pages, and libraries allocate what a page
says. So each page is visited, which reads some twenty bytes of it. The format:
https://parquet.apache.org/docs/file-format/data-pages/ and, for the headers, Thrift's compact
protocol.
"""

from __future__ import annotations

from typing import Any, BinaryIO

PAGE = 5
"""Field of a page's header with that of its data, version 1; version 2 has number 8."""
DICTIONARY = 2  # type of a page
ENCODINGS = frozenset({0, 2, 3, 5, 6, 8})
"""PLAIN, RLE, those with a dictionary or lengths, whose values take no more than their page; in
others a value may repeat most of the one before it."""
HEADER = 100_000  # bytes: a header may repeat the least and the greatest value of its page
DEEPEST = 8  # structures within each other
MOST_FIELDS = 1_000


def unpacked_bytes(file: BinaryIO, start: int, size: int, most: int) -> tuple[int, int]:
    """How many bytes the pages of a column take that lie from ``start`` on in ``size`` bytes, and
    how many of them are a list of values, to which the others refer by number.

    Raises ``ValueError`` if they are no pages, take more than ``most`` bytes together, or are
    encoded in an unusual way.
    """
    total, listed, place, end = 0, 0, start, start + size
    while place < end:
        file.seek(place)
        reader = _Reader(file.read(min(HEADER, end - place)))
        header = reader.struct()
        unpacked, packed = _size(header.get(2)), _size(header.get(3))
        data = header.get(PAGE) or header.get(8) or {}
        if isinstance(data, dict):
            encoding = data.get(2 if PAGE in header else 4, 0)
            if not isinstance(encoding, int) or encoding not in ENCODINGS:
                raise ValueError(f"it uses the encoding {encoding}, which is not read here")
        place += reader.place + packed
        total += unpacked
        listed += unpacked if header.get(1) == DICTIONARY else 0
        if place > end:
            raise ValueError("a page is longer than its column")
        if total > most:
            raise ValueError(f"a column unpacks to more than {most:,} bytes")
    return total, listed


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("a page has no size")
    return value


class _Reader:
    """Reads Thrift's compact protocol: structures as a dictionary of their numbers by field."""

    def __init__(self, content: bytes):
        self.content = content
        self.place = 0

    def struct(self, depth: int = 0) -> dict[int, Any]:
        found: dict[int, Any] = {}
        field = 0
        for _ in range(MOST_FIELDS):
            head = self._byte()
            if not head:
                return found
            field = field + (head >> 4) if head >> 4 else self._signed()
            if field in found:  # libraries differ in which one counts
                raise ValueError("a page's header has a field twice")
            found[field] = self._value(head & 15, depth)
        raise ValueError("a page's header has too many fields")

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise ValueError("a page's header is nested too deeply")
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._signed()
        if kind == 7:
            return self._skip(8)
        if kind == 8:
            return self._skip(self._unsigned())
        if kind == 12:
            return self.struct(depth + 1)
        raise ValueError("a page's header cannot be read")

    def _byte(self) -> int:
        if self.place >= len(self.content):
            raise ValueError("a page's header ends too early")
        self.place += 1
        return self.content[self.place - 1]

    def _skip(self, count: int) -> None:
        self.place += count
        if self.place > len(self.content):
            raise ValueError("a page's header ends too early")

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError("a page's header has a number that is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return value >> 1 ^ -(value & 1)
