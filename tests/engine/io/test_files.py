"""Room on the disk: looked for before the work, and told to whoever waits for it."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import Any

import pytest

import prospr_engine as pe
from prospr_engine.errors import DiskError
from prospr_engine.io import files


def leave(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage: Any = shutil.disk_usage("/")._replace(free=free)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)


def test_a_run_for_which_there_is_no_room_ends_before_any_scoring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    leave(monkeypatch, 3_000_000)
    heard: list[Any] = []
    with pytest.raises(DiskError, match=r"has 3\sMB free, .* need about \d+\sMB\. Choose a sma"):
        pe.run(pe.RunConfig(model="mlp", epochs=1, device="cpu"), heard.append, out=tmp_path)
    assert all(getattr(event, "stage", "data") in {"data", "model"} for event in heard)
    assert not (tmp_path / "scores.safetensors").exists()


def test_room_is_enough_or_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    leave(monkeypatch, 1000)
    files.check_room(tmp_path, 1000)
    with pytest.raises(DiskError, match=r"0\sMB free, .* about 1\sMB"):
        files.check_room(tmp_path, 1001)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_who_can_help_is_said(tmp_path: Path, code: int):
    output = str(files.disk_error(tmp_path / "x", OSError(code, "No")))
    assert "The server's administrator must" in output


@pytest.mark.parametrize("below", ["x", "x/y/z"])
def test_a_file_in_the_place_of_a_folder_is_named(below, tmp_path):
    (tmp_path / "taken").touch()
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere" / "x")
    for name in ("taken", "broken"):
        with pytest.raises(DiskError, match=rf"{name} is not a folder"):
            files.write_atomically(tmp_path / name / below, b"")
