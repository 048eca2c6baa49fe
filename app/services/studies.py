"""Studies: sweeps and searches, each of many runs. Like runs, they live in the store."""

from __future__ import annotations

import contextlib
import dataclasses

from app import access
from app.services import estimates, layers, runs, store
from app.services.origin import origin
from prospr_engine.errors import EngineError
from prospr_engine.store.records import Run
from prospr_engine.store.study import Kind, Study
from prospr_engine.sweeps.bisection import guess_of
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.reach import concerns, within
from prospr_engine.sweeps.search_config import SearchConfig

Config = SweepConfig | SearchConfig


def start(config: Config, owner: str, name: str = "") -> Study:
    """A new study with these settings, or the visitor's live one with the same settings; see
    ``Store.submit_study``.

    Raises ``EngineError`` if the settings cannot be used or the store does not take more.
    """
    config = dataclasses.replace(config, run=runs.usable(config.run, owner))
    if isinstance(config, SearchConfig):
        config = _reachable(config)
    kind: Kind
    kind, guess = (
        ("search", _guess(config)) if isinstance(config, SearchConfig) else ("sweep", None)
    )
    study = store.current().submit_study(kind, config, owner, name, guess, origin())
    _ensure_worker(study)
    return study


def find(id: str | None) -> Study | None:
    """The study with that id, if there is one; makes sure that a live one has a worker."""
    study = store.current().study(id) if id else None
    if study is not None:
        _ensure_worker(study)
    return study


def mine(owner: str) -> list[Study]:
    """The studies listed for a visitor, newest first: their own and the command line's."""
    return store.current().studies(owner)


def own(owner: str) -> list[Study]:
    """The visitor's studies without those of the command line, newest first."""
    return [study for study in mine(owner) if access.owns(study, owner)]


def cells(study: Study) -> list[Run]:
    """The runs of a study, in order."""
    return store.current().study_runs(study.id)


def stop(study: Study, owner: str) -> None:
    """Ask its runs to stop. Raises ``StoreError`` if it is not the visitor's."""
    store.current().stop_study(study.id, owner)


def resume(study: Study, owner: str) -> None:
    """Restart runs that failed or were stopped. Raises ``StoreError`` if the study is not the
    visitor's or is still stopping, ``ResourceError`` if another one of theirs is live."""
    store.current().resume_study(study.id, owner, origin())
    store.ensure_worker(store.current().folder)


def rename(study: Study, owner: str, name: str) -> None:
    """Name the study. Raises ``StoreError`` if it is not the visitor's."""
    store.current().rename_study(study.id, owner, name)


def delete(study: Study, owner: str) -> None:
    """Delete the study with its runs and their files. Raises ``StoreError`` if it is not the
    visitor's."""
    store.current().delete_study(study.id, owner)


def _ensure_worker(study: Study) -> None:
    if study.live:
        store.ensure_worker(store.current().folder)


def _reachable(config: SearchConfig) -> SearchConfig:
    """Without the sparsities that settings of layers rule out; see ``sweeps.reach``."""
    run = config.run
    images = estimates.images_of(run.data, run.loading.image_size) if concerns(config) else None
    return within(config, layers.sizes(run.model, images)) if images else config


def _guess(config: SearchConfig) -> float | None:
    """The sparsity at which a search for a file size starts, estimated from the network's size."""
    with contextlib.suppress(EngineError):  # without a guess it starts in the middle
        images = estimates.images_of(config.run.data, config.run.loading.image_size)
        if images is not None:
            return guess_of(config, estimates.measure_of(config.run.model, images))
    return None
