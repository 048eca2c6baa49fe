"""Which image a table means: paths are written in many ways."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from prospr_engine.data.part_names import says_part
from prospr_engine.data.paths import Path, split
from prospr_engine.guard import limits

DRIVE = re.compile(r"[A-Za-z]:")


class Index:
    """Finds images by what tables write for them."""

    def __init__(self, images: Sequence[str]):
        self.paths = [split(image) for image in images]
        self.names: dict[str, list[int]] = defaultdict(list)
        self.stems: dict[str, list[int]] = defaultdict(list)
        self.folders = {folder.casefold() for path in self.paths for folder in path[:-1]}
        for number, path in enumerate(self.paths):
            last = path[-1].casefold()
            self.names[last].append(number)
            self.stems[last.rpartition(".")[0]].append(number)

    def find(self, cell: str, folder: Path = (), part: str = "") -> int | None:
        """The image that ``cell`` of a table in ``folder`` names: by its path or the end of it,
        with or without its ending, in any letter case. ``None`` if none, or several."""
        wanted = self._path(cell)
        if not wanted:
            return None
        last = wanted[-1].casefold()
        numbers = self.names.get(last) or self.stems.get(last)
        if not numbers:
            return None
        if len(numbers) == 1 and len(wanted) == 1:
            return numbers[0]
        ranked = sorted(
            ((self._likeness(number, wanted, folder, part), number) for number in numbers),
            reverse=True,
        )
        if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
            return None
        (shared, *_), number = ranked[0]
        # A path of another machine may share nothing; one of this set must not be another's.
        others = {one.casefold() for one in wanted[:-1]} & self.folders
        return None if len(wanted) > 1 and not shared and others else number

    def _path(self, cell: str) -> Path:
        plain = DRIVE.sub("", cell[: limits.ZIP_PATH.value]).replace("\\", "/")
        return tuple(part for part in split(plain) if part not in ("", ".", ".."))

    def _likeness(
        self, number: int, wanted: Path, folder: Path, part: str
    ) -> tuple[int, bool, bool, bool]:
        path = self.paths[number]
        shared = 0
        for ours, theirs in zip(reversed(path[:-1]), reversed(wanted[:-1]), strict=False):
            if ours.casefold() != theirs.casefold():
                break
            shared += 1
        return (
            shared,
            bool(part) and any(says_part(one, part) for one in path[:-1]),
            path[: len(folder)] == folder and bool(folder),
            path[-len(wanted) :] == wanted,
        )
