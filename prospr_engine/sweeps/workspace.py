"""Where many runs lie: their files, what they share, and the files that visitors uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prospr_engine.io import tokens


@dataclass(frozen=True)
class Workspace:
    """Folders that an executor can reach: ``runs`` holds a folder per run, ``cache`` the scores and
    dense networks that runs share (None: they share nothing), ``uploads`` the uploaded files (None:
    where the environment says)."""

    runs: Path
    cache: Path | None = None
    uploads: Path | None = None

    def run(self, name: str) -> Path:
        """The folder of one run."""
        return self.runs / name

    @property
    def variables(self) -> Mapping[str, str]:
        """What a process needs in its environment to find the uploads."""
        return {tokens.FOLDER: str(self.uploads.absolute())} if self.uploads else {}
