"""What a visitor may see and do. Pages ask here, and compare no owners themselves; the store
checks again whatever is changed.

Who has the address of a run or study may look at it. Only its owner may name, stop or delete it
and sees images of their own. Others learn the names of its files, not where on this machine they
lie: runs of the command line, and those of visitors whom the server lets name folders, have paths
in their settings, so pages show any run as ``as_seen`` gives it, and any study as
``study_as_seen`` does.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import services
from app.services import runs, studies
from prospr_engine.config import RunConfig
from prospr_engine.errors import DataError
from prospr_engine.identity import file_options, file_settings, paths
from prospr_engine.io.tokens import display_name, is_token
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig


def owns(what: Run | Study, visitor: str) -> bool:
    """Is the run or study the visitor's, to name, stop and delete?"""
    return what.owner == visitor


def shows_images(run: Run, visitor: str) -> bool:
    """May ``visitor`` see the test images of ``run``? Those that are not of the catalogue are their
    owner's alone; folders of this machine are everybody's where everybody may name them."""
    file = file_settings(run.settings, RunConfig).get("data")
    open_to_all = file is None or (services.paths_allowed() and not is_token(file))
    return open_to_all or owns(run, visitor)


def blocking_study(
    config: SweepConfig | SearchConfig, visitor: str, limits: Limits
) -> Study | None:
    """The study for which the store would refuse another of this visitor, ``config``; None if it
    would take it. The same study again is no other."""
    live = [study for study in own_studies(visitor) if study.live and not study.stopped]
    same = config.to_dict()
    full = len(live) >= limits.most_studies_per_visitor
    return live[0] if full and live and all(study.settings != same for study in live) else None


def own_studies(visitor: str) -> list[Study]:
    """The visitor's studies and not the command line's, the newest first."""
    return [study for study in studies.mine(visitor) if owns(study, visitor)]


def as_seen(run: Run, visitor: str) -> Run:
    """``run`` with the names of files and folders in place of their paths, in its settings and in
    the sentence why it failed; unless it is the visitor's, or paths are no secret here."""
    names = {} if _may_know(run, visitor) else _names(run.settings)
    if not names:
        return run
    error = None if run.error is None else _told(run.error, names)
    return dataclasses.replace(run, settings=_told(run.settings, names), error=error)


def study_as_seen(study: Study, visitor: str) -> Study:
    """``study`` with names in place of paths, as ``as_seen`` gives a run."""
    if owns(study, visitor) or services.paths_allowed():
        return study
    names = _names(study.settings.get("run", {}))
    return dataclasses.replace(study, settings=_told(study.settings, names)) if names else study


def as_told(content: bytes, run: Run, visitor: str) -> bytes:
    """A JSON file of ``run`` (settings or result) as ``visitor`` may take it home. Raises
    ``DataError`` if it cannot be read."""
    if services.paths_allowed():
        return content
    try:
        read = json.loads(content)
        # The folder that the worker wrote to is nothing to anybody.
        names = _places(read["out"]) if "out" in read else {}
        if not _may_know(run, visitor):
            names |= _names(read.get("config", read))
    except (ValueError, TypeError, AttributeError):
        raise DataError(runs.GONE) from None
    told = _told(read, names)
    # Byte for byte, if there is nothing to hide.
    return content if told == read else f"{json.dumps(told, indent=2)}\n".encode()


def _may_know(run: Run, visitor: str) -> bool:
    return owns(run, visitor) or services.paths_allowed()


def _names(settings: Mapping[str, Any]) -> dict[str, str]:
    """By path in the settings, in every spelling, what to call it."""
    found: dict[str, str] = {}
    for path in paths(settings, RunConfig).values():
        found |= _places(path)
    return found


def _places(path: str) -> dict[str, str]:
    name = display_name(path)
    if any(name in option.known for option in file_options(RunConfig).values()):
        name = f"./{name}"  # a folder called digits is not the catalogue's
    whole = Path(path).expanduser()
    spelled = {path.rstrip("/"), str(Path(path)), str(whole), str(whole.absolute())}
    # A bare name hides nothing, and would be found in other words.
    places = {place for place in spelled if Path(place).name not in ("", place)}
    return dict.fromkeys(places - {name}, name)


def _told(value: Any, names: Mapping[str, str]) -> Any:
    """``value`` with names in place of paths, wherever they stand."""
    if isinstance(value, str):
        for path in sorted(names, key=len, reverse=True):
            value = value.replace(path, names[path])
        return value
    if isinstance(value, Mapping):
        return {key: _told(held, names) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_told(held, names) for held in value]
    return value
