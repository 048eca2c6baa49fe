"""What a visitor may see and do. Pages and services ask here and compare no owners themselves; the
store checks every change again, and alone can count the queue.

Anyone with the address of a run or study may view it. Only its owner may rename, stop or delete it,
and see images they uploaded. Others see the names of its files but not their paths: settings of
runs from the command line, and from servers that allow paths, contain paths, so pages show every
run through ``as_seen`` and every study through ``study_as_seen``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, DataError, ResourceError
from prospr_engine.format import MEGA, megabytes
from prospr_engine.identity import file_options, file_settings, paths
from prospr_engine.io.tokens import display_name, is_token
from prospr_engine.registry import did_you_mean
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run, Upload
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

DAMAGED = (
    "This file can no longer be read. Start the run again: the same settings give the same files."
)


def visitor_of(secret: str) -> str:
    """The id of the visitor whose cookie this is. It is a hash, so that whoever sees it in the
    record of runs cannot impersonate the visitor."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


def paths_allowed() -> bool:
    """Whether visitors may name folders of this machine, which the server's operator decides."""
    return os.environ.get("PROSPR_ALLOW_PATHS", "").lower() in {"1", "true", "yes", "on"}


def check_path(name: str, path: str, known: Sequence[Any]) -> None:
    """Raise ``ConfigError`` if a visitor may not give the setting ``name`` this path; ``known`` are
    its other values."""
    if is_token(path) or not paths_allowed():
        raise ConfigError(
            f"There is no file {display_name(path)!r} here to use as {name}"
            f"{did_you_mean(path, list(known))}. Upload the file, or choose one of "
            f"{', '.join(known)}."
        )


def check_upload(name: str, size: int, limits: Limits) -> None:
    """Raise ``ResourceError`` if no visitor may upload a file of ``size`` bytes."""
    most = round(MEGA * limits.upload_megabytes)
    if size > most:
        raise ResourceError(
            f"{name} has {megabytes(size)}, more than the limit of {megabytes(most)}. "
            "Use fewer or smaller images, or a smaller network."
        )


def check_quota(named: str, size: int, kept: Sequence[Upload], limits: Limits) -> None:
    """Raise ``ResourceError`` if the upload with the token ``named`` and what its owner has
    ``kept`` take too much together. The same file again takes no more space."""
    most = round(MEGA * limits.upload_megabytes_per_visitor)
    together = sum(upload.bytes for upload in kept if upload.token != named) + size
    if together > most:
        raise ResourceError(
            f"With {display_name(named)} your files would take {megabytes(together)}, more than "
            f"your {megabytes(most)}. Remove one first."
        )


def owns(what: Run | Study, visitor: str) -> bool:
    """Whether the visitor owns the run or study, and so may rename, stop and delete it."""
    return what.owner == visitor


def shows_images(run: Run, visitor: str) -> bool:
    """Whether ``visitor`` may see the test images of ``run``. Uploads are visible to their owner
    only; folders of this machine to everyone if visitors may use paths."""
    file = file_settings(run.settings, RunConfig).get("data")
    open_to_all = file is None or (paths_allowed() and not is_token(file))
    return open_to_all or owns(run, visitor)


def blocking_study(
    config: SweepConfig | SearchConfig, own: Sequence[Study], limits: Limits
) -> Study | None:
    """The live one of the visitor's ``own`` studies that keeps the store from accepting ``config``;
    None if it would accept it. The same study again does not count as another."""
    live = [study for study in own if study.live and not study.stopped]
    same = config.to_dict()
    full = len(live) >= limits.most_studies_per_visitor
    return live[0] if full and live and all(study.settings != same for study in live) else None


def as_seen(run: Run, visitor: str) -> Run:
    """``run`` with the names of files and folders in place of their paths, in its settings and its
    error message; unchanged for its owner, and where paths are allowed."""
    names = {} if _sees_paths(run, visitor) else _names(run.settings)
    if not names:
        return run
    error = None if run.error is None else _replace(run.error, names)
    return dataclasses.replace(run, settings=_replace(run.settings, names), error=error)


def study_as_seen(study: Study, visitor: str) -> Study:
    """``study`` with names in place of paths, see ``as_seen``."""
    if owns(study, visitor) or paths_allowed():
        return study
    names = _names(study.settings.get("run", {}))
    return dataclasses.replace(study, settings=_replace(study.settings, names)) if names else study


def visible_json(content: bytes, run: Run, visitor: str) -> bytes:
    """A JSON file of ``run`` (settings or result) as ``visitor`` may download it. Raises
    ``DataError`` if it cannot be read."""
    if paths_allowed():
        return content
    try:
        read = json.loads(content)
        # Nobody needs to know the folder that the worker wrote to.
        names = _places(read["out"]) if "out" in read else {}
        if not _sees_paths(run, visitor):
            names |= _names(read.get("config", read))
    except (ValueError, TypeError, AttributeError):
        raise DataError(DAMAGED) from None
    visible = _replace(read, names)
    # Byte for byte, if there is nothing to hide.
    return content if visible == read else f"{json.dumps(visible, indent=2)}\n".encode()


def _sees_paths(run: Run, visitor: str) -> bool:
    return owns(run, visitor) or paths_allowed()


def _names(settings: Mapping[str, Any]) -> dict[str, str]:
    """The name to show for each path in the settings, in every spelling."""
    found: dict[str, str] = {}
    for path in paths(settings, RunConfig).values():
        found |= _places(path)
    return found


def _places(path: str) -> dict[str, str]:
    name = display_name(path)
    if any(name in option.known for option in file_options(RunConfig).values()):
        name = f"./{name}"  # a folder named like a data set of the catalogue
    whole = Path(path).expanduser()
    spelled = {path.rstrip("/"), str(Path(path)), str(whole), str(whole.absolute())}
    # A bare name reveals nothing, and could occur within other words.
    places = {place for place in spelled if Path(place).name not in ("", place)}
    return dict.fromkeys(places - {name}, name)


def _replace(value: Any, names: Mapping[str, str]) -> Any:
    """``value`` with names in place of paths, at any depth."""
    if isinstance(value, str):
        for path in sorted(names, key=len, reverse=True):
            value = value.replace(path, names[path])
        return value
    if isinstance(value, Mapping):
        return {key: _replace(item, names) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace(item, names) for item in value]
    return value
