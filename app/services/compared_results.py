"""What the results of several runs say beyond their record: how they learned, what they kept of
every layer, how they do in every class. Read only when somebody looks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from app.services import Run, runs
from prospr_engine.errors import DataError
from prospr_engine.pipeline.record import RESULT

Results = dict[str, list[dict[str, Any]]]
PARTS = ("config", "history", "layers", "per_class")


def results(lines: Mapping[str, Sequence[Run]]) -> tuple[Results, int]:
    """By name of a line, those parts of ``result.json`` of its runs that are compared (``PARTS``,
    and of the data the names of the classes); and how many results are gone."""
    found: Results = {}
    gone = 0
    for name, several in lines.items():
        found[name] = []
        for run in several:
            try:
                found[name].append(_parts(str(_path(run))))
            except DataError:
                gone += 1
    return {name: read for name, read in found.items() if read}, gone


def _path(run: Run) -> Path:
    artifact = runs.files(run).get(RESULT)
    if artifact is None:
        raise DataError(runs.GONE)
    return artifact.path


# The name of the file is the digest of its content. A resource: nobody changes it, and copies of
# many at every look would take longer than the charts.
@st.cache_resource(max_entries=400, show_spinner=False)
def _parts(path: str) -> dict[str, Any]:
    try:
        read = json.loads(Path(path).read_text("utf-8"))
        parts = {name: read.get(name) for name in PARTS}
        return {**parts, "data": {"classes": read["data"]["classes"]}}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise DataError(runs.GONE) from None
