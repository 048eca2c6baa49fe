"""Which column of a table names the images, which their class, and which their part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prospr_engine.data.part_names import parts_among, words
from prospr_engine.data.readers.csv_table import Table
from prospr_engine.errors import DataError

SAMPLED = 500  # rows by which the column of file names is recognised
FILES = "filename file filepath path image imagename imagefile imagepath imageid img imgid id name"
LABELS = (
    "label labels class classes category categories target targets labelname classname"
    " classlabel categoryname y groundtruth gt species breed diagnosis dx"
    " classe categoria categorie etiqueta etiquette klasse kategorie classid labelid categoryid"
)
"""A column of such a name gives the classes even where folders could. From the best."""
STRONG = frozenset({"label", "class", "category", "target", "species", "breed", "diagnosis"})
"""A word with which the name of such a column may also begin or end."""
PERHAPS = "variety type kind group tag emotion disease expression finding status grade digit"
PARTS = "split subset set part partition usage phase dataset fold"
NOTHING = "index unnamed width height size md5 sha256 url source xmin ymin xmax ymax"
ABSENT = frozenset({"", "nan", "none", "null", "n/a", "na", "<na>"})
"""What programs write where there is no label, in lower case."""

Find = Callable[[str], int | None]
"""The number of the image that a cell names; ``None`` if it names none."""


@dataclass(frozen=True)
class Columns:
    """Places of columns in ``table``. ``indicators`` take the place of ``label`` where each class
    has a column of zeros and ones. ``sure``: the name of the column says that it has labels."""

    table: Table
    file: int
    label: int | None
    indicators: tuple[int, ...]
    part: int | None
    sure: bool

    def label_of(self, row: Sequence[str]) -> str:
        """ "" if the row has none."""
        if self.label is not None:
            return "" if row[self.label].lower() in ABSENT else row[self.label]
        own = [at for at in self.indicators if row[at] and float(row[at]) == 1]
        return self.table.columns[own[0]] if len(own) == 1 else ""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns with labels, in lower case."""
        places = self.indicators if self.label is None else (self.label,)
        return tuple(self.table.columns[at].lower() for at in places)

    @property
    def described(self) -> str:
        """Where the labels stand: "column 'label' of labels.csv"."""
        if self.label is None:
            return f"{len(self.indicators)} columns of {self.table.name}"
        return f"column {self.table.columns[self.label]!r} of {self.table.name}"


def named_column(table: Table, find: Find) -> tuple[int, int]:
    """The place of the column that names the most different images, and how many among the rows
    that were looked at. Numbers of classes may be names of images too, but few."""
    step = -(-len(table.rows) // SAMPLED) or 1
    rows = table.rows[::step]
    counts = [
        len({number for row in rows if row[at] and (number := find(row[at])) is not None})
        for at in range(len(table.columns))
    ]
    ranks = [_rank(name, FILES) for name in table.columns]
    best = max(range(len(counts)), key=lambda at: (counts[at], -ranks[at]))
    return best, counts[best]


def with_header(table: Table, find: Find) -> Table:
    """``table``, whose first row is one of the others if it names an image."""
    if all(find(cell) is None for cell in table.columns if cell):
        return table
    names = tuple(f"column {at}" for at in range(1, 1 + len(table.columns)))
    return Table(table.name, names, (table.columns, *table.rows), table.encoding)


def choose(table: Table, file: int) -> Columns:
    """The columns of labels and parts, given that of the file names. Raises ``DataError`` if it is
    unclear which has the labels."""
    others = [at for at, name in enumerate(table.columns) if at != file]
    part = next((at for at in others if _is_part(table, at)), None)
    others = [at for at in others if at != part]
    for known, partly, sure in ((LABELS, STRONG, True), (PERHAPS, frozenset(), False)):
        ranked = [(_rank(table.columns[at], known, partly), at) for at in others]
        rank, at = min(ranked, default=(math.inf, 0))
        if rank < math.inf:
            return Columns(table, file, at, (), part, sure)
    if indicators := _indicators(table, others):
        return Columns(table, file, None, indicators, part, False)
    left = [
        at
        for at in others
        if table.columns[at] and not {*words(table.columns[at])} & {*NOTHING.split()}
    ]
    if len(left) == 1:
        return Columns(table, file, left[0], (), part, False)
    only = ", ".join(repr(name) for name in table.columns[:12]) + ", …" * (len(table.columns) > 12)
    raise DataError(
        f"{table.name} has no column that is clearly that of the labels. Its columns are {only}; "
        "rename the one with the classes to “label”."
    )


def has_labels(table: Table) -> bool:
    """Whether the name of a column says that it has labels."""
    return any(_rank(name, LABELS, STRONG) < math.inf for name in table.columns)


def label_rank(name: str) -> float:
    """How likely a column of that name has labels: the lower the likelier; infinite if nothing
    says so."""
    return min(_rank(name, LABELS, STRONG), 100 + _rank(name, PERHAPS))


def _rank(name: str, known: str, partly: frozenset[str] = frozenset()) -> float:
    """The place of a column's name among the ``known``; later if it begins or ends with a word of
    ``partly``; infinite otherwise."""
    pieces = [*words(name)]
    places = known.split()
    if (spelt := "".join(pieces)) in places:
        return places.index(spelt)
    return len(places) if {*pieces[:1], *pieces[-1:]} & partly else math.inf


def _is_part(table: Table, at: int) -> bool:
    """Whether all cells are names of parts, of which one is that to train on."""
    if _rank(table.columns[at], PARTS) == math.inf:
        return False
    values = {row[at] for row in table.rows}
    if len(values) > 20:
        return False
    found = parts_among(values)
    return {*found} == values - {""} and "train" in found.values()


def _indicators(table: Table, others: Sequence[int]) -> tuple[int, ...]:
    """The columns of zeros and ones, if every row has a single one."""
    if len(others) < 2 or not table.rows:
        return ()
    try:
        binary = [at for at in others if {float(row[at]) for row in table.rows} <= {0.0, 1.0}]
        single = all(sum(float(row[at]) for at in binary) == 1 for row in table.rows)
    except ValueError:
        return ()
    return tuple(binary) if len(binary) == len(others) and single else ()
