"""The store of this server, and the worker that runs its queue."""

from __future__ import annotations

import os
from pathlib import Path

import streamlit as st

from prospr_engine.errors import StoreError
from prospr_engine.io import tokens
from prospr_engine.store import default_folder
from prospr_engine.store.limits import Limits
from prospr_engine.store.schema import READ_ONLY
from prospr_engine.store.store import Store


@st.cache_resource(show_spinner=False)
def current() -> Store:
    """The store of this server. Raises ``StoreError`` or ``ConfigError`` if it cannot be used."""
    opened = Store(default_folder(), Limits.from_environment())
    # SQLite opens a read-only database without complaint; the visitor should learn of it before
    # filling in the form. Nothing is written to check: results stay visible when the disk is full.
    if not all(os.access(path, os.W_OK) for path in (opened.folder, opened.database)):
        raise StoreError(READ_ONLY)
    # Where tokens are found by what opens files here; whose they are is checked before.
    os.environ[tokens.FOLDER] = str(opened.uploads.folder)
    return opened


def ensure_worker(folder: Path) -> None:
    """Start a worker for the store's runs if none is alive."""
    from prospr_engine.jobs import ensure_worker

    ensure_worker(folder)
