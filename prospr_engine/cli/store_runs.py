"""What ``run``, ``sweep`` and ``search`` do with ``--store``, and what ``runs`` shows and
changes."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from pathlib import Path
from typing import Any

from prospr_engine.config import RunConfig
from prospr_engine.errors import DataError, EngineError, Stopped, StoreError
from prospr_engine.events import OnEvent, StageStarted
from prospr_engine.format import brief
from prospr_engine.identity import replace_files
from prospr_engine.io.files import check_unused, disk_error
from prospr_engine.io.tokens import absolute
from prospr_engine.jobs import ensure_worker
from prospr_engine.jobs.follow import follow, follow_study
from prospr_engine.jobs.spawn import at_work
from prospr_engine.models import MODELS
from prospr_engine.pipeline.record import RESULT, onnx_files, relocated
from prospr_engine.saliency import METHODS
from prospr_engine.saliency.controls import find_control
from prospr_engine.store import default_folder
from prospr_engine.store.artifacts import Artifacts
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run
from prospr_engine.store.store import RECORD, Store
from prospr_engine.store.study import Kind, Study, row_of
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

# Not from models/build.py, which brings torch: these commands need none.
STOPPING = 10.0  # seconds to wait for a run to stop


def compute(
    config: RunConfig,
    folder: str,
    name: str,
    out: str | None,
    overwrite: bool,
    on_event: OnEvent,
) -> dict[str, Any]:
    """Let the worker of the store in ``folder`` compute the run; returns its result and copies its
    files to ``out``.

    Ctrl-C stops the run. Raises ``EngineError`` if it cannot start, fails or is stopped.
    """
    if out and not overwrite:
        check_unused(Path(out), config.fingerprint)
    _check_names(config)
    store = Store(_folder(folder), Limits.from_environment())
    run = store.submit(_findable(config), name=name)
    if not run.live:
        on_event(StageStarted("known", f"These settings were run before: run {run.id[:8]}"))
    else:
        try:
            run = follow(store, run.id, on_event)
        except KeyboardInterrupt:
            store.stop(run.id, run.owner)
            follow(store, run.id)
            raise
    if run.state == "stopped":
        raise Stopped("The run was stopped by someone else.")
    if run.state == "failed":
        raise EngineError(run.error)
    return _take(store, run, out)


def compute_study(
    config: SweepConfig | SearchConfig,
    folder: str,
    name: str,
    on_event: OnEvent,
    guess: float | None = None,
) -> list[dict[str, Any]]:
    """Let the worker of the store in ``folder`` compute a sweep or a search; returns a row per run
    (see ``sweeps.table``), with the run's id under ``run``. A search begins at the sparsity
    ``guess``.

    Finished runs are not repeated, so an interrupted sweep is resumed. Ctrl-C stops it. Raises
    ``EngineError`` if it cannot start or is deleted meanwhile; the row of a run that fails or is
    stopped says so.
    """
    _check_names(config.run)
    config = dataclasses.replace(config, run=_findable(config.run))
    store = Store(_folder(folder), Limits.from_environment())
    kind: Kind = "sweep" if isinstance(config, SweepConfig) else "search"
    study = store.submit_study(kind, config, name=name, guess=guess)
    try:
        return [row_of(run) for run in follow_study(store, study.id, on_event)]
    except KeyboardInterrupt:
        store.stop_study(study.id, study.owner)
        follow_study(store, study.id)
        raise


def all_runs(folder: str) -> list[dict[str, Any]]:
    """The runs in the store except those of studies, newest first, as JSON-ready values."""
    store = _existing(folder)
    return [_to_dict(store, run) for run in store.runs()] if store else []


def stop(folder: str, id: str) -> dict[str, Any]:
    """Stop the one run or study whose id begins with ``id``, and wait until it is over."""
    store, found = _one(folder, id)
    if isinstance(found, Study):
        store.stop_study(found.id, found.owner)
    else:
        store.stop(found.id, found.owner)
    deadline = time.monotonic() + STOPPING
    while (now := _look(store, found)) and now.live and time.monotonic() < deadline:
        ensure_worker(store.folder)  # a worker that died cannot stop anything
        time.sleep(0.1)
    return _json_ready(store, now or found)


def delete(folder: str, id: str) -> dict[str, Any]:
    """Delete the one run or study whose id begins with ``id``; returns what it was."""
    store, found = _one(folder, id)
    deleted = _json_ready(store, found)
    if isinstance(found, Study):
        store.delete_study(found.id, found.owner)
    else:
        store.delete(found.id, found.owner)
    return deleted


def rebuild(folder: str) -> dict[str, Any]:
    """Add finished runs that are missing from the database, from their files; returns the runs and
    the files that belong to none. Raises ``StoreError`` while a worker may write."""
    from prospr_engine.store.rebuild import rebuild as rebuild_here

    place = _folder(folder)
    if place.is_dir() and at_work(place.absolute()):
        raise StoreError(
            "A worker is using this store. Stop the dashboard, wait a minute until the worker has "
            "ended, then try again."
        )
    rebuilt = rebuild_here(place, Limits.from_environment())
    store = Store(place, Limits.from_environment())
    runs = [run for run in store.runs() if run.id in rebuilt.runs]
    return {
        "runs": [_to_dict(store, run) | {"missing": list(rebuilt.runs[run.id])} for run in runs],
        "unplaced": list(rebuilt.unplaced),
        "damaged": list(rebuilt.damaged),
        "aside": rebuilt.aside,
    }


def _check_names(config: RunConfig) -> None:
    """Refuse a wrong name here, without waiting for the worker."""
    MODELS.find(config.model)
    METHODS.find(config.method)
    find_control(config.control)


def _folder(given: str) -> Path:
    return Path(given).expanduser() if given else default_folder()


def _existing(given: str) -> Store | None:
    """The store, if there is one: a mistyped folder must not become a new store."""
    folder = _folder(given)
    if (folder / RECORD).exists() or Artifacts(folder / "artifacts").any():
        return Store(folder, Limits.from_environment())
    if given:
        raise StoreError(f"There is no store in {folder}; give the folder of a store.")
    return None


def _one(folder: str, id: str) -> tuple[Store, Run | Study]:
    store = _existing(folder)
    everything: list[Run | Study] = [*store.runs(studies=True), *store.studies()] if store else []
    found = [one for one in everything if id and one.id.startswith(id)]
    if store is None or not found:
        raise StoreError(f"No run has an id that begins with {brief(id)}; `runs` lists them.")
    if len(found) > 1:
        raise StoreError(
            f"{len(found)} runs have an id that begins with {brief(id)}; give more of it."
        )
    return store, found[0]


def _look(store: Store, found: Run | Study) -> Run | Study | None:
    return store.study(found.id) if isinstance(found, Study) else store.get(found.id)


def _findable(config: RunConfig) -> RunConfig:
    """``config`` with absolute paths, since the worker runs in another folder."""

    def whole(text: str) -> str:
        return absolute(text) if Path(text).expanduser().exists() else text

    return replace_files(config, whole)


def _take(store: Store, run: Run, out: str | None) -> dict[str, Any]:
    """The result of a finished run, with the paths of its files."""
    files = {name: artifact.path for name, artifact in store.files(run.id).items()}
    result = json.loads(files[RESULT].read_text("utf-8")) if RESULT in files else None
    if result is None or not all(name in files for name in onnx_files(result)):
        raise DataError(
            f"The files of run {run.id[:8]} are missing from the store. Delete the run "
            f"(runs --delete {run.id[:8]}), then run again."
        )
    if out:
        files = {name: _copy(path, Path(out, name)) for name, path in _result_last(files)}
    return relocated(result, out, {name: str(path) for name, path in files.items()}) | {
        "run": run.id
    }


def _result_last(files: dict[str, Path]) -> list[tuple[str, Path]]:
    """The result comes last, because it marks a folder as complete."""
    return sorted(files.items(), key=lambda file: file[0] == RESULT)


def _copy(source: Path, target: Path) -> Path:
    part = target.with_name(f".{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise disk_error(target, error) from None
    return target


def _json_ready(store: Store, found: Run | Study) -> dict[str, Any]:
    return _study_to_dict(found) if isinstance(found, Study) else _to_dict(store, found)


def _to_dict(store: Store, run: Run) -> dict[str, Any]:
    files = {name: str(file.path) for name, file in store.files(run.id).items()}
    return {"kind": "run", **_values(run), "files": files}


def _study_to_dict(study: Study) -> dict[str, Any]:
    return {**_values(study), "state": study.state}


def _values(found: Run | Study) -> dict[str, Any]:
    values = dataclasses.asdict(found)
    # A visitor's owner field is a digest, which is of no use to a reader.
    values["started_by"] = "a visitor" if values.pop("owner") else "the command line"
    return values
