"""Typed views of what the store has of a run."""

from __future__ import annotations

import dataclasses

import pytest
from app_fakes import finished

from app.services.run_events import RunEvents
from app.services.summary import Summary, summary_of
from app.services.uploads import path_formats, without_suffix
from prospr_engine.store.store import Store


def test_progress_is_the_latest_of_each_stage():
    step = {"event": "Progress", "stage": "score", "total": 8, "unit": "steps", "text": ""}
    first = RunEvents().extended(
        [
            {"event": "StageStarted", "stage": "score", "text": "Scoring", "time": 1.0, "seq": 1},
            step | {"done": 2, "time": 2.0, "seq": 2},
        ]
    )
    later = first.extended([step | {"done": 6, "time": 3.0, "seq": 5}, {"event": "New", "seq": 6}])
    assert first.progress["score"].share == 0.25
    assert later.progress["score"].share == 0.75
    assert (first.seq, later.seq) == (2, 6)
    assert [stage.text for stage in later.stages] == ["Scoring"]


def test_a_summary_without_figures_is_empty(store: Store):
    run = finished(store)
    for summary in (None, {}, 3, {"accuracy": 0.9, "bytes": "many", "classes": None}):
        assert summary_of(dataclasses.replace(run, summary=summary)) == Summary()


@pytest.mark.parametrize(
    ("name", "stem"),
    [("pets.zip", "pets"), ("Pets.ZIP", "Pets"), ("pets", "pets"), ("a.csv", "a.csv")],
)
def test_the_suffix_of_a_format_is_removed(name: str, stem: str):
    assert without_suffix(name) == stem


def test_paths_may_have_every_format():
    assert path_formats() == "a folder, a zip, an npz or a Parquet file"
