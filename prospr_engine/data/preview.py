"""What to show of images before they are used: classes, counts, sizes, samples, warnings."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.arrange import arrange
from prospr_engine.data.balance import balance_warnings
from prospr_engine.data.decode import (
    UnreadableError,
    is_image,
    read_header,
    read_range,
)
from prospr_engine.data.depth import Range, joined
from prospr_engine.data.inspect import Facts, facts_of
from prospr_engine.data.look import Look
from prospr_engine.data.readers.opening import open_data, open_uploaded
from prospr_engine.data.readers.tree import Layout, Tree
from prospr_engine.data.splits import Plan, plan
from prospr_engine.data.twins import Labelled, twin_notes
from prospr_engine.errors import ResourceError
from prospr_engine.events import ignore
from prospr_engine.format import counted, percent
from prospr_engine.guard import limits, sandbox
from prospr_engine.io.tokens import display_name

if TYPE_CHECKING:
    from prospr_engine.data.source import Source  # which brings torch

CLASSES = 12  # shown with samples
SAMPLES = 3  # of each
COMMON = 0.05  # of the images, for a size that is worth naming
SIDE = 96  # pixels, the largest side of a sample
COMPARED = 4 * limits.PREVIEW_IMAGES.value  # images that are searched for copies
LOOKED_AT = limits.PREVIEW_IMAGES.value  # images that are opened
PIXELS = limits.PREVIEW_PIXELS.value  # of deep images, read for their range


@dataclass(frozen=True)
class Sizes:
    """Width and height of the images whose headers were read: how many different ones, the most
    common, and those of the smallest and the largest area; ``common_share`` is a fraction."""

    count: int
    common: tuple[int, int]
    common_share: float
    smallest: tuple[int, int]
    largest: tuple[int, int]

    @classmethod
    def of(cls, sizes: Sequence[tuple[int, int]]) -> Sizes | None:
        if not sizes:
            return None
        counts = Counter(sizes)
        ordered = sorted(counts, key=lambda size: (size[0] * size[1], size))
        common, times = counts.most_common(1)[0]
        return cls(len(counts), common, times / len(sizes), ordered[0], ordered[-1])

    @property
    def described(self) -> str:
        """ "All images are 32 × 32 pixels.", or the smallest, largest and most common size."""
        common, smallest, largest = (
            f"{width:,} × {height:,}"
            for width, height in (self.common, self.smallest, self.largest)
        )
        if self.count == 1:
            return f"All images are {common} pixels."
        most = ""
        if self.common_share >= COMMON:
            most = f"; {percent(self.common_share)} of the images are {common}"
        return f"{self.count:,} sizes, from {smallest} to {largest} pixels{most}."


@dataclass(frozen=True)
class Preview:
    """Images as they are before use. ``counts`` has the number of images per class of each part
    ("train", and if present "validation" and "test"); ``samples`` a few per class, square, as PNG.

    ``notes`` are sentences on what was skipped and how the images will be split, ``warnings`` on
    what puts the accuracies in doubt; ``broken`` lists unreadable images, with the reason, among
    ``looked_at`` evenly spread ones, and ``sizes`` describes the others of these. They are decoded
    as a run decodes them, as far as the bound on pixels allows; else a note says so.
    """

    facts: Facts
    counts: Mapping[str, tuple[int, ...]]
    samples: Mapping[str, tuple[bytes, ...]]
    notes: tuple[str, ...]
    looked_at: int
    broken: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    sizes: Sizes | None = None

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON-ready values."""
        samples = {
            name: [base64.b64encode(png).decode() for png in own]
            for name, own in self.samples.items()
        }
        return asdict(self) | {"samples": samples}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preview:
        """What ``to_dict`` gave, also after a way through JSON."""
        sizes = values["sizes"]
        return cls(
            facts=Facts(**_with_tuples(values["facts"])),
            counts=_with_tuples(values["counts"]),
            samples={
                name: tuple(base64.b64decode(png) for png in own)
                for name, own in values["samples"].items()
            },
            notes=tuple(values["notes"]),
            looked_at=values["looked_at"],
            broken=tuple(values["broken"]),
            warnings=tuple(values["warnings"]),
            sizes=Sizes(**_with_tuples(sizes)) if sizes else None,
        )


def preview(path: Path, name: str) -> Preview:
    """Preview the uploaded images in the file at ``path``, called ``name``.

    Raises ``DataError`` if they are something else, unsafe or too few, ``ResourceError`` if memory
    runs out.
    """
    with _enough_memory(name), open_uploaded(path, name) as opened:
        return _preview(opened, name)


def preview_apart(path: Path, name: str) -> Preview:
    """The same in a process of its own: what a file does to a decoder, it does to that one. Raises
    ``ResourceError`` also if time runs out."""
    found = sandbox.call(
        "prospr_engine.data.preview:opened_upload",
        {"path": str(path), "name": name},
        name,
        limits.PREVIEW_MEMORY.value,
        limits.PREVIEW_SECONDS.value,
        written=limits.UPLOADED_ZIP_BYTES.value,
    )
    return Preview.from_dict(found)


def opened_upload(path: str, name: str) -> dict[str, Any]:
    """The preview itself, JSON-ready. Made to be called in a ``guard.sandbox``."""
    return preview(Path(path), name).to_dict()


def preview_data(text: str) -> Preview:
    """The same of images at a path, or behind the token of an upload. Raises as ``load`` does."""
    with _enough_memory(display_name(text)), open_data(text) as (name, opened):
        return _preview(opened, name)


def _with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists only."""
    return {name: tuple(own) if isinstance(own, list) else own for name, own in values.items()}


@contextmanager
def _enough_memory(name: str) -> Iterator[None]:
    try:
        yield
    except MemoryError:
        raise ResourceError(
            f"There is not enough memory to open {name}. Give fewer or smaller images."
        ) from None


def _preview(opened: Tree | Source, name: str) -> Preview:
    layout = arrange(opened, is_image) if isinstance(opened, Tree) else opened
    facts = facts_of(name, layout, opened)
    splits = plan(layout.labels, layout.parts, layout.classes, LoadingConfig(), seed=0)
    files: list[str] = []
    sizes: list[tuple[int, int]] = []
    broken: list[str] = []
    notes: list[str] = []
    copies: list[str] = []
    look = None
    if isinstance(layout, Layout) and isinstance(opened, Tree):
        look = Look(opened, facts.channels or 3)
    samples = _samples(opened, layout, facts, look)
    if look and isinstance(layout, Layout):
        copies = _copies(look, layout, splits)
        files = [layout.files[number] for number in _spread(range(len(layout.files)), LOOKED_AT)]
        sizes, broken, unread = look.check(files)
        if unread:
            notes.append(
                f"The images are large: of {unread:,} among {len(files):,} only the header was "
                "checked, so damage inside shows only in a run."
            )
    return Preview(
        facts,
        {
            part: tuple(np.bincount(layout.labels[numbers], minlength=facts.class_count).tolist())
            for part in ("train", "validation", "test")
            if (numbers := layout.parts.get(part)) is not None
        },
        samples,
        (*facts.notes, *splits.notes, *notes),
        len(files),
        tuple(broken),
        (*balance_warnings(facts.classes, facts.per_class), *copies),
        Sizes.of(sizes),
    )


def _copies(look: Look, layout: Layout, splits: Plan) -> list[str]:
    """Warnings of copies of training images among the test images, as far as a first look goes."""
    test = [int(number) for number in _spread(splits.test, COMPARED // 4)]
    train = [int(number) for number in _spread(splits.train, COMPARED - len(test))]
    found: dict[int, np.ndarray] = {}
    # In turns, so that both are there if the images are so large that only a few can be read.
    for number in _in_turns(test, train):
        pixels = look.small(layout.files[number])
        if pixels is not None:
            found[number] = pixels
    parts = [[number for number in own if number in found] for own in (train, test)]
    if not all(parts):
        return []
    looked = [
        Labelled(np.stack([found[number] for number in own]), layout.labels[own]) for own in parts
    ]
    notes = twin_notes(*looked)
    if notes and sum(map(len, parts)) < len(splits.train) + len(splits.test):
        seen, tested = (counted(len(own), "image") for own in parts)
        first, *others = notes
        notes = [
            f"Of {seen} to train and {tested} to test: {first[:1].lower()}{first[1:]}",
            *others,
        ]
    return notes


def _in_turns(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Both, mixed evenly."""
    places = [
        (place / len(own), number) for own in (first, second) for place, number in enumerate(own)
    ]
    return [number for _, number in sorted(places)]


def _samples(
    opened: Tree | Source, layout: Layout | Source, facts: Facts, look: Look | None
) -> dict[str, tuple[bytes, ...]]:
    train = layout.parts["train"]
    labels = layout.labels[train]
    chosen = {
        name: [int(number) for number in _spread(train[labels == label], SAMPLES)]
        for label, name in enumerate(layout.classes[:CLASSES])
    }
    if look and isinstance(layout, Layout):
        files = {number: layout.files[number] for own in chosen.values() for number in own}
        sample = _sampler(look, files, facts)
    else:
        sample = _pixel_sampler(cast("Source", opened))
    return {
        name: tuple(shown for number in own if (shown := sample(number)) is not None)
        for name, own in chosen.items()
    }


def _sampler(look: Look, files: Mapping[int, str], facts: Facts) -> Callable[[int], bytes | None]:
    size = min(facts.image_size or SIDE, SIDE)
    ranges = joined(_ranges(look.tree, files.values()))

    def sample(number: int) -> bytes | None:
        pixels = look.pixels(files[number], size, ranges)
        return None if pixels is None else _png(_enlarged(pixels))

    return sample


def _ranges(tree: Tree, files: Iterable[str]) -> Iterator[Range]:
    """Of the deep images among ``files``; the range of the whole set may be larger."""
    left = PIXELS
    for file in files:
        with suppress(UnreadableError, OSError), tree.open(file) as stream:
            header = read_header(stream, tree.accepted)
            left -= header.width * header.height if header.deep else 0
            stream.seek(0)
            if header.deep and left >= 0 and (own := read_range(stream, tree.accepted)):
                yield own


def _pixel_sampler(source: Source) -> Callable[[int], bytes | None]:
    def sample(number: int) -> bytes:
        pixels = source.read(np.array([number]), LoadingConfig(), ignore).images[:1][0].numpy()
        return _png(_enlarged(pixels))

    return sample


def _enlarged(pixels: np.ndarray) -> np.ndarray:
    """Enlarged without smoothing, to show the pixels that the network sees."""
    times = max(1, SIDE // max(pixels.shape[1:]))
    return pixels.repeat(times, axis=1).repeat(times, axis=2)


def _png(pixels: np.ndarray) -> bytes:
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _spread(numbers: Sequence[int] | np.ndarray, most: int) -> Iterator[int]:
    """At most ``most`` of ``numbers``, evenly spread, including the first."""
    count = min(most, len(numbers))
    return (numbers[place * len(numbers) // count] for place in range(count))
