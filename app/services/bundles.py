"""The files of a finished run that visitors may download, and everything of it in one zip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from app.services import runs
from app.services.locks import HEAVY
from prospr_engine.errors import DataError
from prospr_engine.pipeline.record import RESULT, RunRecord
from prospr_engine.report.bundle import SETTINGS, TABLES, TENSORS, write_bundle
from prospr_engine.report.pictures import pictures
from prospr_engine.store.records import Artifact, Run

__all__ = ["JSON", "TABLES", "TENSORS", "files", "write"]

JSON = (SETTINGS, RESULT)
"""Files that may contain paths: see ``access.visible_json``."""


def files(run: Run, result: RunRecord) -> dict[str, Artifact]:
    """The files of ``run`` that a visitor may download, by name, without those that are gone. Test
    images, which may be somebody's own, are not among them."""
    there = runs.files(run)
    onnx = [Path(export.path).name for export in result.exports.values()]
    return {name: there[name] for name in (*onnx, *TENSORS, *JSON) if name in there}


def write(
    path: Path,
    run: Run,
    encodings: Sequence[str] | None,
    shown: Callable[[bytes], bytes],
) -> None:
    """Write the bundle of ``run`` to ``path``, see ``report.bundle``. Raises ``EngineError``."""
    there = runs.files(run)
    for file in there.values():
        runs.check(file)
    paths = {name: file.path for name, file in there.items()}
    try:
        write_bundle(path, paths, encodings, shown, _draw)
    except FileNotFoundError:
        raise DataError(runs.GONE) from None


def _draw(record: RunRecord, files: Mapping[str, Path]) -> Mapping[str, bytes]:
    with HEAVY:  # ranks the scores
        return pictures(record, files)
