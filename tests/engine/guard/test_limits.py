"""The table of bounds, and what reads it."""

from __future__ import annotations

import ast
import dataclasses
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from prospr_engine.data.preview import preview_apart
from prospr_engine.guard import limits
from prospr_engine.store.limits import Limits

ROOT = Path(__file__).resolve().parents[3]
# What 0.3.0 documented.
VARIABLES = {
    "PROSPR_RUNS",
    "PROSPR_DATA",
    "PROSPR_MOST_QUEUED",
    "PROSPR_MOST_QUEUED_PER_VISITOR",
    "PROSPR_MOST_CELLS",
    "PROSPR_MOST_STUDIES_PER_VISITOR",
    "PROSPR_SHARED_GIGABYTES",
    "PROSPR_KEEP_DAYS",
    "PROSPR_KEEP_GIGABYTES",
    "PROSPR_KEEP_RUNS",
    "PROSPR_RUN_MINUTES",
    "PROSPR_UPLOAD_MEGABYTES",
    "PROSPR_UPLOADS_PER_VISITOR",
    "PROSPR_UPLOAD_MEGABYTES_PER_VISITOR",
    "PROSPR_MOST_QUEUED_PER_ADDRESS",
    "PROSPR_MOST_CELLS_QUEUED",
    "PROSPR_MOST_STUDIES",
    "PROSPR_MOST_STUDIES_PER_ADDRESS",
    "PROSPR_UPLOADS_PER_ADDRESS",
    "PROSPR_UPLOAD_MEGABYTES_PER_ADDRESS",
    "PROSPR_PROXIES",
    "PROSPR_TIMING",
    "PROSPR_ALLOW_PATHS",
}


def test_the_readme_holds_the_table_as_the_command_prints_it():
    command = [sys.executable, "-m", "prospr_engine.guard.limits"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    readme = (ROOT / "README.md").read_text("utf-8")
    _, _, rest = readme.partition("<!-- python -m prospr_engine.guard.limits -->\n")
    table, end, _ = rest.partition("<!-- end -->")
    assert end
    assert table == printed


def test_the_page_of_limits_is_up_to_date():
    assert (ROOT / "docs" / "limits.md").read_text("utf-8") == limits.page()


def test_every_variable_is_documented_and_none_is_gone():
    assert {row.variable for row in limits.VARIABLES} == VARIABLES


def test_every_row_with_a_variable_is_a_limit_of_the_store():
    rows = {row.name: row for row in limits.TABLE if row.of_store}
    assert rows.keys() == {field.name for field in dataclasses.fields(Limits)}
    assert dataclasses.asdict(Limits()) == {name: row.value for name, row in rows.items()}


@pytest.mark.parametrize("row", [row for row in limits.TABLE if row.of_store], ids=lambda r: r.name)
def test_every_variable_is_read(row):
    found = Limits.from_environment({row.variable: "7"})
    assert found == dataclasses.replace(Limits(), **{row.name: 7})
    assert isinstance(getattr(found, row.name), type(row.value))


@pytest.mark.parametrize(
    "row", [row for row in limits.TABLE if not row.of_store], ids=lambda r: r.name
)
def test_a_limit_of_files_is_set_by_the_environment(row, monkeypatch):
    monkeypatch.setenv(f"PROSPR_{row.name.upper()}", "7")
    again = dataclasses.replace(row)
    assert (again.value, type(again.value)) == (7, type(row.value))


@pytest.mark.parametrize("text", ["many", "-1", "nan", "1e400", "7 MB"])
def test_what_is_no_limit_changes_nothing_and_is_said(text, monkeypatch, caplog):
    monkeypatch.setenv("PROSPR_IMAGE_PIXELS", text)
    assert dataclasses.replace(limits.IMAGE_PIXELS).value == limits.IMAGE_PIXELS.value
    assert f"PROSPR_IMAGE_PIXELS is {text!r}; give a whole number of at least 0" in caplog.text


def test_children_keep_to_the_limits_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PROSPR_UPLOADED_IMAGE_PIXELS", "63")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(10):
            archive.writestr(f"{number % 2}/{number}.png", picture())
    found = preview_apart(path, "a.zip")
    assert len(found.broken) == 10
    assert "8 x 8 pixels exceed the limit of 63" in found.broken[0]


def picture() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    return stream.getvalue()


def test_every_row_bounds_something():
    """A row that no module reads would promise what nobody checks."""
    own = ROOT / "prospr_engine/guard/limits.py"
    named = {
        node.targets[0].id: row
        for node in ast.parse(own.read_text("utf-8")).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        for row in [getattr(limits, node.targets[0].id)]
        if isinstance(row, limits.Limit)
    }
    assert tuple(named.values()) == limits.TABLE
    others = [*(ROOT / "prospr_engine").rglob("*.py"), *(ROOT / "app").rglob("*.py")]
    code = "".join(path.read_text("utf-8") for path in others if path != own)
    assert [name for name in named if f".{name}.value" not in code] == []


def test_names_are_those_of_the_rows():
    names = [row.name for row in limits.TABLE]
    assert len(set(names)) == len(names)
    for row in limits.TABLE:
        assert getattr(limits, row.name.upper()) is row
        assert row.value >= 0
