"""Everything of a run that is worth keeping, in one zip."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prospr_engine.errors import ConfigError, DataError
from prospr_engine.export.encodings import PRIMARY
from prospr_engine.format import listed, percent_number
from prospr_engine.io.files import disk_error
from prospr_engine.io.tokens import clean_name, display_name
from prospr_engine.models import is_file
from prospr_engine.pipeline.record import RESULT, RunRecord, relocated
from prospr_engine.report.model_card import card, code
from prospr_engine.report.pictures import pictures
from prospr_engine.report.tables import classes_csv, figures_csv, layers_csv, training_csv

CARD, CODE, CHARTS = "README.md", "classify.py", "charts"
TENSORS = ("pruned.safetensors", "dense.safetensors", "masks.safetensors")
SETTINGS = "config.json"
TABLES = {
    "figures.csv": figures_csv,
    "layers.csv": layers_csv,
    "training.csv": training_csv,
    "classes.csv": classes_csv,
}
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file: the earliest of a zip, so that equal runs give equal bundles."""
CHUNK = 1 << 20  # bytes that are in memory at once

Content = bytes | Path


@dataclass(frozen=True)
class Bundle:
    """A bundle that was written to ``path``: its ``bytes``, and those of the ``files`` in it."""

    path: Path
    bytes: int
    files: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        files = [{"name": name, "bytes": bytes} for name, bytes in self.files.items()]
        return {"path": str(self.path), "bytes": self.bytes, "files": files}


def bundle(folder: str | Path, path: str | Path, encodings: Sequence[str] | None = None) -> Bundle:
    """Write the bundle of the finished run in ``folder`` to ``path``, a zip: the ONNX files in the
    ``encodings`` (None: all that the run wrote), weights, masks, settings, results as JSON and
    CSV, charts as PNG, a model card, and a program that runs the first ONNX file. The same run
    gives the same bytes.

    Raises ``DataError`` if the folder has no finished run, or lacks some of its files;
    ``ConfigError`` for an encoding that the run did not write; ``DiskError``.
    """
    folder = Path(folder)
    if not (folder / RESULT).is_file():
        raise DataError(f"{folder} contains no finished run ({RESULT} is missing).")
    files = {file.name: file for file in folder.iterdir() if file.is_file()}
    return write_bundle(path, files, encodings)


def write_bundle(
    path: str | Path,
    files: Mapping[str, Path],
    encodings: Sequence[str] | None = None,
    shown: Callable[[bytes], bytes] = bytes,
    draw: Callable[[RunRecord, Mapping[str, Path]], Mapping[str, bytes]] = pictures,
) -> Bundle:
    """As ``bundle``, from the ``files`` of a run by name. ``shown`` is applied to the JSON files,
    to remove what is not for everybody; ``draw`` makes the charts (PNG, by name). Files are copied
    piece by piece, so that large ones need no memory."""
    path = Path(path)
    _check(files, [RESULT, SETTINGS, *TENSORS])
    result = json.loads(shown(files[RESULT].read_bytes()))
    record = RunRecord.from_dict(result)
    exports = _exports(record, encodings)
    _check(files, [name for _, name in exports])
    charts = {f"{CHARTS}/{name}": data for name, data in draw(record, files).items()}
    contents: dict[str, Content] = {
        CARD: card(record, exports, charts).encode(),
        CODE: code(record, exports[0][1]).encode(),
        RESULT: (json.dumps(relocated(result, ".", {}), indent=2) + "\n").encode(),
        SETTINGS: shown(files[SETTINGS].read_bytes()),
        **{name: make(record) for name, make in TABLES.items()},
        **{name: files[name] for name in (*TENSORS, *(name for _, name in exports))},
        **charts,
    }
    return _zip(path, {f"{stem(record)}/{name}": each for name, each in contents.items()})


def stem(record: RunRecord) -> str:
    """``small_cnn-digits-90``: the name of the folder in the zip."""
    config = record.config
    data = display_name(config.data).partition(".")[0]
    model = config.model.replace(":", "_")
    if is_file(config.model):
        model = display_name(config.model).partition(".")[0]
    parts = (model, data, percent_number(config.sparsity))
    return clean_name("-".join(parts)).replace(" ", "_")


def _exports(record: RunRecord, encodings: Sequence[str] | None) -> list[tuple[str, str]]:
    """Encodings and names of the ONNX files, the dense one first."""
    wanted = list(record.exports) if encodings is None else list(dict.fromkeys(encodings))
    if not wanted:
        raise ConfigError("A bundle needs at least one ONNX file; name an encoding.")
    unknown = [name for name in wanted if name not in record.exports]
    if unknown:
        raise ConfigError(
            f"This run has no ONNX file in the encoding {listed(map(repr, unknown))}; it has "
            f"{listed(record.exports)}."
        )
    wanted.sort(key=lambda name: name != PRIMARY)
    return [(name, Path(record.exports[name].path).name) for name in wanted]


def _check(files: Mapping[str, Path], names: Sequence[str]) -> None:
    missing = [name for name in names if name not in files]
    if missing:
        raise DataError(
            f"The run lacks {listed(missing)}. Start it again: the same settings give the same "
            "files."
        )


def _zip(path: Path, contents: Mapping[str, Content]) -> Bundle:
    part = path.with_name(f".{path.name}.part")
    sizes = {}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in sorted(contents.items()):
                info = zipfile.ZipInfo(name, EPOCH)
                info.compress_type = zipfile.ZIP_DEFLATED
                info.create_system, info.external_attr = 3, 0o644 << 16  # as on Linux, everywhere
                large = isinstance(content, Path) and content.stat().st_size >= zipfile.ZIP64_LIMIT
                with archive.open(info, "w", force_zip64=large) as target:
                    if isinstance(content, bytes):
                        target.write(content)
                    else:
                        with content.open("rb") as source:
                            shutil.copyfileobj(source, target, CHUNK)
                sizes[name] = info.file_size
        part.replace(path)
    except OSError as error:
        raise disk_error(path, error) from None
    finally:
        part.unlink(missing_ok=True)
    return Bundle(path, path.stat().st_size, sizes)
