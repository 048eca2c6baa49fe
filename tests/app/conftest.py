"""Pages over a real store, in which the test plays the worker."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from app_fakes import RESULT, new
from fakes import in_this_process
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from app.services import store as service
from prospr_engine.guard import sandbox
from prospr_engine.store.store import Store

# AppTest looks through all installed packages for components, for each app anew.
manifest_scanner.scan_component_manifests = functools.cache(
    manifest_scanner.scan_component_manifests
)


@pytest.fixture(autouse=True)
def quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What visitors send is opened without a process of its own, which takes seconds to start, but
    where the test is about it."""
    if "sandboxed" not in request.fixturenames:
        monkeypatch.setattr(sandbox, "call", in_this_process)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """The store behind the pages; nobody works on it but the test."""
    real = Store(tmp_path / "store")
    monkeypatch.setattr(service, "current", lambda: real)
    monkeypatch.setattr(service, "ensure_worker", lambda folder: None)
    monkeypatch.delenv("PROSPR_ALLOW_PATHS", raising=False)
    yield real
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def at(store: Store) -> AppTest:
    """The app, drawn for the first time by the visitor "alice"."""
    return new().run()


@pytest.fixture
def result() -> dict[str, Any]:
    return copy.deepcopy(RESULT)
