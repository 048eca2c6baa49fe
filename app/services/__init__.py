"""The app's only door to the engine, one module per concern.

Importing it does not import torch: tables and settings are plain data, and long computations run in
a process of their own. The few functions that need torch import it themselves.
"""

from __future__ import annotations

from typing import Any

from prospr_engine import metrics
from prospr_engine.config import CHANNELS, GROUPS, NO_CONTROL, SKIP_BROKEN, WEIGHTS, RunConfig
from prospr_engine.data import DATASETS, DatasetSpec
from prospr_engine.errors import ConfigError, DataError, EngineError, StoreError
from prospr_engine.events import EpochEnded
from prospr_engine.export.encodings import ENCODINGS, PRIMARY
from prospr_engine.export.latency import REFERENCE, Latency, Timing
from prospr_engine.export.proof import Check
from prospr_engine.guard import limits
from prospr_engine.identity import file_settings, tokens
from prospr_engine.io.tokens import display_name, is_token
from prospr_engine.models import MODELS, is_file, label_of
from prospr_engine.models.collections import collection_of, listed_names
from prospr_engine.models.spec import ModelSpec
from prospr_engine.overrides import ALL_KEPT, Override, setting_words
from prospr_engine.pipeline.course import course
from prospr_engine.pipeline.divergence import diverged
from prospr_engine.pipeline.pruning_record import (
    Amount,
    FindingRecord,
    LayerRecord,
    PruningRecord,
    StructureRecord,
    Width,
)
from prospr_engine.pipeline.record import ExportRecord, RunRecord, epoch_record
from prospr_engine.registry import Option, settings_of
from prospr_engine.saliency import METHODS, SEED, STEPS, MethodSpec
from prospr_engine.saliency.controls import CONTROLS, ControlSpec, control_names, is_control
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import NAME_LENGTH, Artifact, Run, Upload
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import OF_CHANNELS, SweepConfig
from prospr_engine.sweeps.controlled import SAME as SHARED_WITH_CONTROLS
from prospr_engine.sweeps.goals import GOALS, Goal
from prospr_engine.sweeps.report import COUNTED
from prospr_engine.sweeps.search_config import SearchConfig

__all__ = [
    "ALL_KEPT",
    "CHANNELS",
    "CONTROLS",
    "COUNTED",
    "DATASETS",
    "ENCODINGS",
    "GOALS",
    "GROUPS",
    "METHODS",
    "MODELS",
    "NAME_LENGTH",
    "NO_CONTROL",
    "OF_CHANNELS",
    "PRIMARY",
    "REFERENCE",
    "SEED",
    "SHARED_WITH_CONTROLS",
    "SKIP_BROKEN",
    "STEPS",
    "WEIGHTS",
    "Amount",
    "Artifact",
    "Check",
    "ConfigError",
    "ControlSpec",
    "DataError",
    "DatasetSpec",
    "EngineError",
    "EpochEnded",
    "ExportRecord",
    "FindingRecord",
    "Goal",
    "Latency",
    "LayerRecord",
    "Limits",
    "MethodSpec",
    "ModelSpec",
    "Option",
    "Override",
    "PruningRecord",
    "Run",
    "RunConfig",
    "RunRecord",
    "SearchConfig",
    "StoreError",
    "StructureRecord",
    "Study",
    "SweepConfig",
    "Timing",
    "Upload",
    "Width",
    "check_model",
    "choices_of",
    "collection_of",
    "control_names",
    "course",
    "display_name",
    "diverged",
    "epoch_record",
    "file_settings",
    "is_control",
    "is_file",
    "is_token",
    "label_of",
    "limits",
    "listed_names",
    "metrics",
    "models_like",
    "setting_words",
    "settings_of",
    "tokens",
]


def choices_of(option: Option) -> tuple[Any, ...]:
    """The choices of a setting: its own, or the names in its table."""
    tables = {
        "method": tuple(METHODS),
        "control": control_names(),
        "encoding": tuple(ENCODINGS),
    }
    return tables.get(option.table, option.choices)


def check_model(name: str) -> None:
    """Raise ``ConfigError`` if the network is known not to exist. Does not import torch, and looks
    for no file: that a visitor may use one has to be checked before."""
    if is_file(name):
        return
    if collection := collection_of(name):
        if collection.lacks(name):
            raise collection.missing(name)
        return
    if name in list(MODELS):
        return
    labels = [MODELS[like].label for like in models_like(name)]
    if len(labels) > 1:
        listed = ", ".join(labels)
        raise ConfigError(f"{name!r} fits several networks: {listed}. Choose one of them.")
    MODELS.find(name)


def models_like(typed: str) -> list[str]:
    """The models of our zoo whose name or label equals ``typed``, or else those that contain it."""
    part = typed.strip().lower()
    rows = MODELS.values()
    exact = [row.name for row in rows if part in (row.name.lower(), row.label.lower())]
    return exact or [row.name for row in rows if part in f"{row.name}\n{row.label}".lower()]
