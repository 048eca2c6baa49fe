from __future__ import annotations

import dataclasses
import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from prospr_engine.data.readers import zip
from prospr_engine.data.readers.zip import OWN, UPLOADED, zip_tree
from prospr_engine.errors import DataError


def refused(path: str, sentence: str, limits=OWN, **changed) -> None:
    limits = dataclasses.replace(limits, **changed)
    with pytest.raises(DataError, match=sentence), zip_tree(Path(path), "data.zip", limits):
        pass


def test_files_are_read_in_place(zipped, tmp_path: Path) -> None:
    path = zipped({"a/": "", "a/1.png": "one", "b/2.png": "two", "c/": ""})
    with zip_tree(Path(path), "data.zip") as tree:
        assert (tree.name, tree.notes) == ("data.zip", ())
        assert tree.files == ("a/1.png", "b/2.png")
        assert tree.folders == ("a", "c")
        with tree.open("b/2.png") as stream:
            assert stream.read() == b"two"
    assert list(tmp_path.iterdir()) == [Path(path)]


def test_backslashes_separate_where_no_slash_does(zipped) -> None:
    with zip_tree(
        Path(zipped({"a\\1.png": "x", "b\\c\\2.png": "y", "d\\": ""})), "data.zip"
    ) as tree:
        assert (tree.files, tree.folders) == (("a/1.png", "b/c/2.png"), ("d",))
    with zip_tree(Path(zipped({"AC\\DC/1.png": "x", "ABBA/1.png": "y"})), "data.zip") as tree:
        assert tree.files == ("AC\\DC/1.png", "ABBA/1.png")


def test_a_dot_is_no_folder(zipped) -> None:
    path = zipped({"./": "", "./a/": "", "./a/1.png": "x", "b//./2.png": "y"})
    with zip_tree(Path(path), "data.zip") as tree:
        assert (tree.files, tree.folders) == (("a/1.png", "b/2.png"), ("a",))
        assert tree.open("b/2.png").read() == b"y"


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"PK\x03\x04" + b"\0" * 60], ids=["empty", "text", "damaged"]
)
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


@pytest.mark.parametrize(
    "path", ["../a/1.png", "a/../../1.png", "/a/1.png", "C:\\a\\1.png", "\\\\nas\\1.png"]
)
def test_paths_that_lead_out(zipped, path: str) -> None:
    refused(zipped({path: "x"}), "points outside the archive")


def test_links(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a/link.png")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    refused(str(tmp_path / "x.zip"), r"contains a link \(a/link.png\)")


def test_encryption(zipped) -> None:
    path = Path(zipped({"a/1.png": "x"}))
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # the flag in the central directory
    path.write_bytes(content)
    refused(str(path), "encrypted")


@pytest.mark.parametrize("name", ["inner.zip", "a/b.TAR", "c.tar.gz", "d.7z"])
def test_archives_within(zipped, name: str) -> None:
    refused(zipped({"a/1.png": "x", name: "y"}), "contains another archive")


def test_a_bomb_by_ratio(zipped, monkeypatch) -> None:
    path = zipped({"a/1.bmp": b"\0" * 3_000_000}, compression=zipfile.ZIP_DEFLATED)
    with zip_tree(Path(path), "data.zip"):
        pass  # small enough to do no harm, however well it packs
    monkeypatch.setattr(zip, "SMALL", 1_000_000)
    refused(path, "possible zip bomb")


def test_a_bomb_by_size(zipped) -> None:
    path = zipped({"a/1.bmp": "x" * 600, "a/2.bmp": "x" * 600})
    refused(path, "possible zip bomb", total=1000)
    refused(path, r"limit of 0\sMB per image", file=500)


def test_a_bomb_whose_entries_share_their_bytes(tmp_path: Path, monkeypatch) -> None:
    """Fifield's construction: every entry claims the same packed bytes as its own.
    https://www.bamsoftware.com/hacks/zipbomb/"""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1.bmp", b"\0" * 100_000)
    content = stream.getvalue()
    start, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    row = content[start:end]
    rows = b"".join(row.replace(b"a/1.bmp", f"a/{i:03}.b".encode()) for i in range(500))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 500, 500, len(rows), start, 0)
    (tmp_path / "x.zip").write_bytes(content[:start] + rows + tail)
    monkeypatch.setattr(zip, "SMALL", 1_000_000)
    # Each file unpacks to less than MAX_RATIO times what it claims to be packed in.
    monkeypatch.setattr(zip, "MAX_RATIO", 900)
    refused(str(tmp_path / "x.zip"), "possible zip bomb")


def test_too_many_files(zipped) -> None:
    refused(zipped({f"a/{i}.png": "" for i in range(3)}), "more than 2 files", files=2)


def test_a_list_of_files_that_is_too_long_is_not_even_read(zipped, monkeypatch) -> None:
    path = zipped({f"a/{number}.png": "" for number in range(100)})
    monkeypatch.setattr(zipfile.ZipInfo, "__init__", None)
    refused(path, "more than 2,000,000 files", directory=1000)


def test_packed_as_strangers_may_not(zipped) -> None:
    path = zipped({"a/1.png": "x" * 500}, compression=zipfile.ZIP_LZMA)
    with zip_tree(Path(path), "data.zip") as tree:
        assert tree.open("a/1.png").read() == b"x" * 500
    refused(path, "usual compression", UPLOADED)


@pytest.mark.parametrize("name", ["a\n/1.png", "a/\u202egnp.1", "a/\x7f.png", "a/" + "x" * 2000])
def test_names_that_cannot_be_shown(zipped, name: str) -> None:
    refused(zipped({name: "x"}), "Rename the file")


def test_the_icon_of_a_mac_folder_is_none_of_them(zipped) -> None:
    with zip_tree(Path(zipped({"a/Icon\r": "x"})), "data.zip") as tree:
        assert tree.files == ("a/Icon\r",)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_files_of_one_name_the_last_counts(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for text in ("old", "new"):
            file.writestr("a/1.png", text)
    with zip_tree(tmp_path / "x.zip", "x.zip") as tree:
        assert tree.files == ("a/1.png",)
        assert tree.open("a/1.png").read() == b"new"
        assert tree.notes == ("Skipped: 1 file replaced by a later one.",)


def small_zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"a/{number}.png", str(number) * 50)
    return stream.getvalue()


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
@fuzzed(400)
def test_a_damaged_zip_is_read_or_refused_and_nothing_else(tmp_path_factory, changes) -> None:
    content = bytearray(small_zip())
    for place, byte in changes:
        content[place % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "any.zip"
    path.write_bytes(content)
    try:
        with zip_tree(path, "any.zip", UPLOADED) as tree:
            for file in tree.files:
                try:
                    tree.open(file).read()
                except OSError:
                    continue
    except DataError:
        return


def test_one_damaged_entry_is_an_error_of_that_file(zipped) -> None:
    path = Path(zipped({"a/1.png": "x" * 50, "a/2.png": "y" * 50}))
    content = path.read_bytes().replace(b"x" * 50, b"x" * 49 + b"!")
    path.write_bytes(content)
    with zip_tree(path, "data.zip") as tree:
        assert tree.open("a/2.png").read() == b"y" * 50
        with pytest.raises(OSError, match="damaged in the archive"):
            tree.open("a/1.png")
