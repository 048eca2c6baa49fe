"""The app's only door to the engine.

Nothing here imports torch: the tables and settings are plain data, and what takes long runs in a
child process. (``describe``, which looks into a visitor's own data, is the exception.)
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from typing import Any

import streamlit as st

from prospr_engine.config import GROUPS, RunConfig, settings_of
from prospr_engine.data import DATASETS, DatasetSpec
from prospr_engine.errors import ConfigError, EngineError
from prospr_engine.jobs.job import Job
from prospr_engine.jobs.local import Line
from prospr_engine.models import MODELS, TORCHVISION, ModelSpec
from prospr_engine.registry import Option
from prospr_engine.saliency import METHODS, MethodSpec

__all__ = [
    "DATASETS",
    "GROUPS",
    "METHODS",
    "MODELS",
    "TORCHVISION",
    "ConfigError",
    "DatasetSpec",
    "EngineError",
    "Job",
    "MethodSpec",
    "ModelSpec",
    "Option",
    "RunConfig",
    "settings_of",
]


@st.cache_resource(show_spinner=False)
def line() -> Line:
    """The runs of this server, shared by all its visitors."""
    folder = os.environ.get("PROSPR_RUNS")
    if not folder:
        folder = tempfile.mkdtemp(prefix="prospr-runs-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    runs = Line(folder)
    # What is registered last happens first: no run may write into a folder that is being removed.
    atexit.register(runs.close)
    return runs


def start(config: RunConfig) -> Job:
    """Put a run into the line. Raises ``EngineError`` if that cannot be."""
    if config.data not in DATASETS and not paths_allowed():
        # The form offers no such thing, but whatever a browser sends is checked here again.
        DATASETS.find(config.data)
    check_model(config.model)
    return line().start(config)


def find(id: str | None) -> Job | None:
    """The run of that id, if this server remembers it."""
    return line().find(id) if id else None


def check_model(name: str) -> None:
    """Raise ``ConfigError`` if there is no such network, as far as that is known without torch."""
    if name.startswith(TORCHVISION) or name in list(MODELS):
        return
    labels = [MODELS[like].label for like in models_like(name)]
    if len(labels) > 1:
        listed = ", ".join(labels)
        raise ConfigError(f"{name!r} fits several networks: {listed}. Choose one of them.")
    MODELS.find(name)


def models_like(typed: str) -> list[str]:
    """The models whose name or label is what was typed, or else holds it."""
    part = typed.strip().lower()
    rows = MODELS.values()
    exact = [row.name for row in rows if part in (row.name.lower(), row.label.lower())]
    return exact or [row.name for row in rows if part in f"{row.name}\n{row.label}".lower()]


def paths_allowed() -> bool:
    """May visitors name folders of this machine? Only if whoever runs the server says so."""
    return os.environ.get("PROSPR_ALLOW_PATHS", "").lower() in {"1", "true", "yes", "on"}


@st.cache_data(max_entries=20, ttl=60, show_spinner="Looking into the data")
def describe(path: str) -> dict[str, Any]:
    """What a folder or zip holds, told without reading pixels; raises ``EngineError``."""
    from dataclasses import asdict

    from prospr_engine.data.load import describe

    return asdict(describe(path))
