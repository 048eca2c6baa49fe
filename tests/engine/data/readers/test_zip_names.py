"""Names are encoded by Python's codecs and written into the zip as bytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path

import pytest

from prospr_engine.data.arrange import arrange
from prospr_engine.data.decode import is_image
from prospr_engine.data.readers import zip as zip_module
from prospr_engine.data.readers.zip import OWN, checked_zip, zip_tree
from prospr_engine.errors import DataError

LOCAL, CENTRAL = "<4s5H3L2H", "<4s6H3L5H2L"


def write_zip(path: Path, names: list[bytes], flag: int = 0, extra: bytes = b"") -> Path:
    """A zip of empty files with these names, byte for byte."""
    stream, rows = io.BytesIO(), b""
    for name in names:
        offset = stream.tell()
        stream.write(
            struct.pack(LOCAL, b"PK\3\4", 20, flag, 0, 0, 33, 0, 0, 0, len(name), 0) + name
        )
        rows += struct.pack(
            CENTRAL, b"PK\1\2", 20, 20, flag, 0, 0, 33, 0, 0, 0, len(name), len(extra), 0, 0, 0, 0,
            offset,
        ) + name + extra  # fmt: skip
    start = stream.tell()
    count = len(names)
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(rows), start, 0)
    path.write_bytes(stream.getvalue() + rows + tail)
    return path


def classes_of(path: Path) -> tuple[tuple[str, ...], str]:
    with zip_tree(path, path.name) as tree:
        for file in tree.files:
            assert tree.open(file).read() == b""
        layout = arrange(tree, is_image)
    return layout.classes, " ".join(layout.notes)


WORDS = [
    ("cp932", ["表", "ソース", "能力"]),  # their second byte is 0x5C, a backslash in ASCII
    ("cp932", ["イヌ", "ネコ", "ウサギ"]),
    ("cp932", ["自動車", "飛行機", "船"]),
    ("cp932", ["良品", "不良品"]),
    ("cp950", ["許功蓋", "成功"]),  # the same in Big5
    ("cp950", ["蘋果", "香蕉", "柳橙"]),
    ("cp950", ["貓", "狗", "鳥"]),
    ("gbk", ["苹果", "香蕉", "橙子"]),
    ("gbk", ["汽车", "飞机", "轮船"]),
    ("gbk", ["正常", "异常"]),
    ("gb18030", ["苹果", "香蕉", "\u3402子"]),  # the last one takes four bytes
    ("cp949", ["고양이", "강아지"]),
    ("cp949", ["사과", "바나나", "오렌지"]),
    ("cp949", ["정상", "불량품"]),
    ("cp866", ["кошка", "собака"]),
    ("cp866", ["Норма", "Дефект"]),
    ("cp1251", ["кошка", "собака"]),
    ("cp1251", ["яблоко", "груша"]),
    ("koi8_r", ["кошка", "собака"]),
    ("cp1252", ["Größe", "Äpfel", "Vögel"]),
    ("cp852", ["kočka", "štěně"]),
    ("cp1250", ["kočka", "štěně"]),
    ("cp737", ["γάτα", "σκύλος"]),
    ("cp857", ["ağaç", "çiçek"]),
    ("cp1254", ["ağaç", "kuş"]),
]


@pytest.mark.parametrize(("codec", "words"), WORDS, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("separator", [b"/", b"\\"], ids=["slash", "backslash"])
def test_names_in_a_legacy_code_page(tmp_path, codec, words, separator) -> None:
    names = [word.encode(codec) + separator + b"1.png" for word in words]
    classes, notes = classes_of(write_zip(tmp_path / "x.zip", names))
    assert set(classes) == set(words)
    assert "does not say how its file names are encoded" in notes


@pytest.mark.parametrize("codec", ["cp437", "cp850", "utf-8"])
def test_names_that_need_no_note(tmp_path, codec) -> None:
    words = ["Größe", "Äpfel", "été"]
    names = [word.encode(codec) + b"/1.png" for word in words]
    classes, notes = classes_of(write_zip(tmp_path / "x.zip", names))
    assert (set(classes), notes) == (set(words), "")


def test_utf8_without_the_flag(tmp_path) -> None:
    for words in (["кот", "пёс"], ["表", "猫"], ["고양이", "개"], ["🐈", "🐕"]):
        names = [f"{word}/1.png".encode() for word in words]
        classes, notes = classes_of(write_zip(tmp_path / "x.zip", names))
        assert (set(classes), notes) == (set(words), "")


def test_a_declared_name_counts(tmp_path) -> None:
    flagged = [f"{word}/1.png".encode() for word in ("表", "猫")]
    assert set(classes_of(write_zip(tmp_path / "x.zip", flagged, 0x800))[0]) == {"表", "猫"}
    # Info-ZIP's Unicode path: a version, the checksum of the name, and the name in UTF-8.
    old, new = "表/1.png".encode("cp932"), "机/1.png".encode()
    for checksum, name in ((zlib.crc32(old), "机"), (0, "表")):
        field = struct.pack("<BL", 1, checksum) + new
        extra = struct.pack("<HH", 0x7075, len(field)) + field
        path = write_zip(tmp_path / "x.zip", [old], 0, extra)
        with zip_tree(path, "x.zip") as tree:
            assert tree.files == (f"{name}/1.png",)


@pytest.mark.parametrize(
    "raw",
    [bytes(range(0xB0, 0xD0)), b"\x9e\xbf\xff\xfe\xfd", b"\xff\xfe"],
    ids=["boxes", "mixture", "short"],
)
def test_classes_stay_apart_in_an_unknown_code_page(tmp_path, raw) -> None:
    names = [bytes([first]) + raw + b"/1.png" for first in (0x80, 0x81, 0xFE)]
    classes, notes = classes_of(write_zip(tmp_path / "x.zip", names))
    assert len(classes) == 3
    assert "does not say how its file names are encoded" in notes


def test_a_backslash_that_may_be_part_of_a_character(tmp_path) -> None:
    path = write_zip(tmp_path / "x.zip", [b"\xb0\xfe\x95\x5c1.png", b"\xb0\xfe\x96\x5c1.png"])
    with pytest.raises(DataError, match="backslashes"), zip_tree(path, "x.zip"):
        pass


@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.parametrize(("codec", "words"), [("cp932", "予測 予定 構造"), ("cp950", "蓋 擺 餐")])
def test_few_names_do_not_become_certain_by_many_files(tmp_path, codec, words, count) -> None:
    """Read as Cyrillic, which is likelier, the first two of each would be one class."""
    names = [f"{word}\\{n}.png".encode(codec) for word in words.split() for n in range(count)]
    path = write_zip(tmp_path / "x.zip", names)
    with pytest.raises(DataError, match="backslashes"), zip_tree(path, "x.zip"):
        pass


def test_a_false_declaration(tmp_path) -> None:
    path = write_zip(tmp_path / "x.zip", ["é/1.png".encode("cp1252")], 0x800)
    with pytest.raises(DataError, match="declares its file names"), zip_tree(path, "x.zip"):
        pass


def test_as_python_writes_them(tmp_path) -> None:
    words = ["naïve", "猫", "кот"]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for word in words:
            archive.writestr(f"{word}/1.png", "")
    assert classes_of(tmp_path / "x.zip") == (tuple(sorted(words)), "")


def test_a_field_that_says_what_an_ascii_name_stands_for_is_read(tmp_path: Path):
    name = b"a/___.png"
    field = b"\1" + struct.pack("<L", zlib.crc32(name)) + "a/кот.png".encode()
    extra = struct.pack("<HHB", 0x5455, 1, 0) + struct.pack("<HH", 0x7075, len(field)) + field
    with zip_tree(write_zip(tmp_path / "a.zip", [name], extra=extra), "a.zip") as tree:
        assert tree.files == ("a/кот.png",)


def test_the_usual_names_of_a_large_archive_are_not_copied(tmp_path: Path):
    names = [f"class/{number}.png".encode() for number in range(9)]
    with checked_zip(write_zip(tmp_path / "a.zip", names), "a.zip", OWN) as (archive, paths, _):
        infos = archive.infolist()
        assert all(path is info.orig_filename for path, info in zip(paths, infos, strict=True))
        assert len({id(info.date_time) for info in infos}) == 1
    with zip_tree(tmp_path / "a.zip", "a.zip") as tree:
        assert [file.encode() for file in tree.files] == names


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("a/b.png", "a/b.png"),
        ("./a//b.png", "a/b.png"),
        ("/a/./b.png", "a/b.png"),
        ("a/", "a"),
        ("a/.", "a"),
        (".", ""),
        ("a./b.png", "a./b.png"),
        ("", ""),
    ],
)
def test_paths_are_made_plain(path: str, plain: str):
    assert zip_module._plain(path) == plain
