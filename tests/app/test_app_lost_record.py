"""A store that lost its record: every page that needs it says how to get it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from app_fakes import new

from app import pages
from prospr_engine.store.store import RECORD

ADDRESSES = {
    pages.NEW: {},
    pages.SWEEP: {},
    pages.RUNS: {},
    pages.RUN: {"id": "0123"},
    pages.TRY_IT: {"id": "0123"},
    pages.COMPARE: {"study": "0123"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    artifact = tmp_path / "artifacts" / "ab" / ("ab" * 32)
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(b"?")
    monkeypatch.setenv("PROSPR_RUNS", str(tmp_path))
    st.cache_resource.clear()
    yield tmp_path
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.mark.parametrize("page", ADDRESSES)
def test_every_page_says_how_to_rebuild_it(folder: Path, page: str):
    at = new("alice", page)
    for name, value in ADDRESSES[page].items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    said = [error.value.replace("\\", "") for error in at.error]
    assert any("The record of runs is missing." in error for error in said), said
    assert any("prospr_engine runs --rebuild" in error for error in said), said
    assert not any(str(folder) in error for error in said)
    assert not (folder / RECORD).exists()
