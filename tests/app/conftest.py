"""The page without an engine behind it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from app_fakes import RESULT, FakeLine, new
from streamlit.testing.v1 import AppTest

from app import services


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLine]:
    fake = FakeLine(tmp_path)
    monkeypatch.setattr(services, "line", lambda: fake)
    monkeypatch.delenv("PROSPR_ALLOW_PATHS", raising=False)
    yield fake
    st.cache_data.clear()


@pytest.fixture
def at(line: FakeLine) -> AppTest:
    """The app, drawn for the first time."""
    return new().run()


@pytest.fixture
def result() -> dict[str, Any]:
    return copy.deepcopy(RESULT)
