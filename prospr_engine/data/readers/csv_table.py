"""Tables as text, as spreadsheets and programs of any country write them: CSV and TSV."""

from __future__ import annotations

import codecs
import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from prospr_engine.data.readers.zip_names import likeliest
from prospr_engine.errors import DataError
from prospr_engine.guard import limits

SUFFIXES = (".csv", ".tsv", ".tab")
SEPARATORS = ",;\t|"
JUDGED = 50  # rows by which the separator is recognised
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SAID = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)  # Excel's first line
AROUND = re.compile(rb'[\r\n,;\t|"]+')
LINES = re.compile(r"\r\n?|\n")


@dataclass(frozen=True)
class Table:
    """``columns`` are the cells of the first row; all ``rows`` have as many cells, without spaces
    around them. ``encoding`` names a code page that was guessed, else it is ""."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    encoding: str = ""


def read_table(content: bytes, name: str) -> Table:
    """The table in ``content``, called ``name`` in messages.

    Separator, quotes, byte-order mark, encoding and line ends are recognised. Missing cells are
    empty, further ones are dropped, empty rows left out. Raises ``DataError`` if it is no table.
    """
    if len(content) > limits.LABELS_BYTES.value:
        raise DataError(
            f"{name} is larger than {limits.LABELS_BYTES.value:,} bytes. Leave all but the columns "
            "with the file names and the labels out."
        )
    text, encoding = _decoded(content, name)
    separator = ""
    if said := SAID.match(text):
        separator, text = said[1], text[said.end() :]
    text = LINES.sub("\n", text)
    rows = _rows(text, separator or _separator(text), name)
    columns = next(rows, ())
    if not columns:
        raise DataError(f"{name} is empty. Give it a row for each image.")
    if len(columns) > limits.LABELS_COLUMNS.value:
        raise DataError(
            f"{name} has {len(columns):,} columns; leave out all but the file names and the labels."
        )
    N = len(columns)
    return Table(
        name, columns, tuple((*row[:N], *("",) * (N - len(row))) for row in rows), encoding
    )


def _decoded(content: bytes, name: str) -> tuple[str, str]:
    """The text, and the name of its encoding if that was guessed."""
    codec, label = next((codec for mark, codec in MARKS if content.startswith(mark)), ""), ""
    if not codec:
        try:
            return _text(content.decode("utf-8"), name), ""
        except UnicodeDecodeError:
            pieces = {piece for piece in AROUND.split(content) if not piece.isascii()}
            found = likeliest(sorted(pieces), slashes=True)
            codec, label = found.codec, found.label or found.codec
    try:
        return _text(content.decode(codec), name), label
    except UnicodeDecodeError:
        raise DataError(f"The encoding of {name} is unknown. Save it as UTF-8.") from None


def _text(text: str, name: str) -> str:
    if "\0" in text:
        raise DataError(f"{name} is not a text file. Save it as CSV in UTF-8.")
    return text


def _separator(text: str) -> str:
    """The one that splits most rows into the same number of cells, more than one."""

    def evenness(separator: str) -> tuple[float, int]:
        lengths = []
        with suppress(csv.Error):
            for row in itertools.islice(_cells(text[:100_000], separator), JUDGED):
                lengths.append(len(row))
        ((usual, times),) = Counter(lengths).most_common(1) or [(1, 1)]
        return (times / len(lengths), usual) if usual > 1 else (0, usual)

    return max(SEPARATORS, key=evenness)


def _rows(text: str, separator: str, name: str) -> Iterator[tuple[str, ...]]:
    try:
        yield from _cells(text, separator)
    except csv.Error as error:
        raise DataError(
            f"{name} is not a table that can be read ({error}). Check its quotation marks, and "
            "save it as CSV again."
        ) from None


def _cells(text: str, separator: str) -> Iterator[tuple[str, ...]]:
    """The rows that are not empty."""
    for row in csv.reader(_lines(text), delimiter=separator, skipinitialspace=True, strict=True):
        cells = tuple(map(str.strip, row))
        if any(cells):
            yield cells


def _lines(text: str) -> Iterator[str]:
    """Only at line feeds: ``splitlines`` would break at more characters than CSV does."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end
