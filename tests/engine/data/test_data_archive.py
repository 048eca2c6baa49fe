from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from prospr_engine.data import archive
from prospr_engine.data.archive import zip_tree
from prospr_engine.errors import DataError


def refused(path: str, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence), zip_tree(Path(path)):
        pass


def test_files_are_read_in_place(zipped, tmp_path: Path) -> None:
    path = zipped({"a/": "", "a/1.png": "one", "b\\2.png": "two", "c\\": ""})
    with zip_tree(Path(path)) as tree:
        assert (tree.name, tree.notes) == ("data.zip", ())
        assert tree.files == ("a/1.png", "b/2.png")
        assert tree.folders == ("a", "c")
        with tree.open("b/2.png") as stream:
            assert stream.read() == b"two"
    assert list(tmp_path.iterdir()) == [Path(path)]


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 60])
def test_what_is_no_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(content)
    refused(str(path), "not a zip file, or is damaged")


def test_a_zip_that_was_cut_short(zipped) -> None:
    path = Path(zipped({f"a/{number}.png": "x" * 500 for number in range(20)}))
    path.write_bytes(path.read_bytes()[:-300])
    refused(str(path), "not a zip file, or is damaged")


def test_a_zip_that_cannot_be_opened(tmp_path: Path) -> None:
    refused(str(tmp_path / "gone.zip"), "cannot be read")


@pytest.mark.parametrize("path", ["../a/1.png", "a/../../1.png", "/a/1.png", "C:\\a\\1.png"])
def test_paths_that_lead_out(zipped, path: str) -> None:
    refused(zipped({path: "x"}), "leads out of the archive")


def test_links(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a/link.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    refused(str(tmp_path / "x.zip"), r"holds a link \(a/link.png\)")


def test_encryption(zipped) -> None:
    path = Path(zipped({"a/1.png": "x"}))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    refused(str(path), "encrypted")


@pytest.mark.parametrize("name", ["inner.zip", "a/b.TAR", "c.tar.gz", "d.7z"])
def test_archives_within(zipped, name: str) -> None:
    refused(zipped({"a/1.png": "x", name: "y"}), "holds another archive")


def test_a_bomb_by_ratio(zipped, monkeypatch) -> None:
    path = zipped({"a/1.bmp": b"\0" * 3_000_000}, compression=zipfile.ZIP_DEFLATED)
    with zip_tree(Path(path)):
        pass  # small enough to do no harm, however well it packs
    monkeypatch.setattr(archive, "SMALL", 1_000_000)
    refused(path, "possible zip bomb")


def test_a_bomb_by_size(zipped, monkeypatch) -> None:
    path = zipped({"a/1.bmp": "x" * 600, "a/2.bmp": "x" * 600})
    monkeypatch.setattr(archive, "MAX_BYTES", 1000)
    refused(path, "possible zip bomb")
    monkeypatch.setattr(archive, "MAX_FILE_BYTES", 500)
    refused(path, "more than the 0 MB an image may take")


def test_too_many_files(zipped, monkeypatch) -> None:
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    refused(zipped({f"a/{number}.png": "" for number in range(3)}), "more than 2 files")


def test_one_damaged_entry_is_an_error_of_that_file(zipped) -> None:
    path = Path(zipped({"a/1.png": "x" * 50, "a/2.png": "y" * 50}))
    content = path.read_bytes().replace(b"x" * 50, b"x" * 49 + b"!")
    path.write_bytes(content)
    with zip_tree(path) as tree:
        assert tree.open("a/2.png").read() == b"y" * 50
        with pytest.raises(OSError, match="damaged in the archive"):
            tree.open("a/1.png")
