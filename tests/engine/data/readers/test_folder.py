from __future__ import annotations

import os
from pathlib import Path

import pytest

from prospr_engine.data.readers import folder as folders
from prospr_engine.data.readers.folder import folder_tree
from prospr_engine.errors import DataError


def test_files_and_folders_are_listed_and_opened(folder) -> None:
    root = Path(folder({"a/1.png": "one", "a/b/2.png": "two", "empty/": ""}))
    tree = folder_tree(root)
    assert (tree.name, tree.notes) == ("data", ())
    assert sorted(tree.files) == ["a/1.png", "a/b/2.png"]
    assert sorted(tree.folders) == ["a", "a/b", "empty"]
    with tree.open("a/b/2.png") as stream:
        assert stream.read() == b"two"


def test_links_out_of_the_folder_are_skipped_and_counted(folder, tmp_path: Path) -> None:
    root = Path(folder({"a/1.png": "one"}))
    (tmp_path / "secret.png").write_text("secret")
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "nothing.png").symlink_to(root / "gone.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "again").symlink_to(root)
    (root / "within.png").symlink_to(root / "a/1.png")
    tree = folder_tree(root)
    assert sorted(tree.files) == ["a/1.png", "within.png"]
    assert tree.notes == ("Skipped: 4 links to folders, to nothing or outside data.",)


def test_a_pipe_does_not_keep_the_reader_waiting(folder) -> None:
    root = Path(folder({"a/1.png": "one"}))
    os.mkfifo(root / "a" / "pipe.png")
    tree = folder_tree(root)
    assert tree.files == ("a/1.png",)
    assert tree.notes == ("Skipped: 1 special file (pipes, devices).",)


def test_a_folder_that_cannot_be_read(folder, monkeypatch) -> None:
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(folders.os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot be read \(Permission denied\)"):
        folder_tree(Path(folder({"a/1.png": "one"})))


def test_too_many_files(folder, monkeypatch) -> None:
    monkeypatch.setattr(folders, "MAX_FILES", 2)
    with pytest.raises(DataError, match="more than 2 files"):
        folder_tree(Path(folder({"a/1.png": "", "a/2.png": "", "a/3.png": ""})))
