"""Parquet files as pyarrow, pandas and Hugging Face's library write them."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes import SpareProcess, in_this_process
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st
from paths import ROOT
from PIL import Image

from prospr_engine.config import LoadingConfig
from prospr_engine.data.inspect import describe
from prospr_engine.data.load import load
from prospr_engine.data.preview import preview
from prospr_engine.data.readers import parquet, parquet_pages
from prospr_engine.data.readers.opening import open_data, open_uploaded
from prospr_engine.data.readers.tree import Tree
from prospr_engine.errors import DataError
from prospr_engine.guard import sandbox

STRUCT = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.fixture(autouse=True)
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file may do to the process that opens it is not what most of these tests are about."""
    if "sandboxed" not in request.fixturenames:
        monkeypatch.setattr(sandbox, "call", in_this_process)


@pytest.fixture(scope="module")
def spare() -> Iterator[SpareProcess]:
    process = SpareProcess()
    yield process
    process.close()


def png(seed: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


PNGS = [png(seed) for seed in range(24)]
NUMBERS = [n % 2 for n in range(24)]


def features(*names: str) -> dict[bytes, bytes]:
    """The metadata of Hugging Face's library, for a column ``label``."""
    own = {"image": {"_type": "Image"}, "label": {"names": [*names], "_type": "ClassLabel"}}
    return {b"huggingface": json.dumps({"info": {"features": own}}).encode()}


def table(labels: Sequence = NUMBERS, images: Sequence | None = None, metadata=None, **more):
    images = PNGS[: len(labels)] if images is None else images
    structs = pa.array([{"bytes": one, "path": "x.png"} for one in images], STRUCT)
    made = pa.table({"image": structs, "label": labels, **more})
    return made.replace_schema_metadata(metadata)


def with_images(values: list) -> pa.Table:
    """Something else in the column of images."""
    return pa.table({"image": values, "label": NUMBERS})


def opened(path: Path | str) -> tuple[Tree, dict[str, list[tuple[bytes, str]]]]:
    """The tree, and by part the bytes and the class of every image."""
    with open_data(str(path)) as (_, tree):
        assert isinstance(tree, Tree)
        layout = tree.layout
        assert layout is not None
        return tree, {
            part: [
                (tree.open(layout.files[n]).read(), layout.classes[layout.labels[n]])
                for n in numbers
            ]
            for part, numbers in layout.parts.items()
        }


@pytest.mark.parametrize("rows", [5, 1000])
@pytest.mark.parametrize("compression", ["snappy", "zstd", "gzip", "none"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_images_and_names_of_classes_as_hugging_face_has_them(
    tmp_path: Path, rows: int, compression: str, version: str
) -> None:
    path = tmp_path / "pets.parquet"
    pq.write_table(
        table(metadata=features("zebra", "ape")), path, row_group_size=rows,
        compression=compression, data_page_version=version,
    )  # fmt: skip
    tree, found = opened(path)
    assert found == {"train": [(PNGS[n], ("zebra", "ape")[n % 2]) for n in range(24)]}
    assert tree.layout is not None
    assert tree.layout.classes == ("zebra", "ape")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pa.array(NUMBERS, pa.int8()), ("0", "1")),
        (pa.array([("no", "yes")[n] for n in NUMBERS]), ("no", "yes")),
        (pa.array([("no", "yes")[n] for n in NUMBERS]).dictionary_encode(), ("no", "yes")),
        (pa.array([("no", "yes")[n] for n in NUMBERS], pa.large_string()), ("no", "yes")),
        (pa.array([n == 1 for n in NUMBERS]), ("0", "1")),
    ],
)
def test_labels_in_any_form(tmp_path: Path, labels, expected) -> None:
    pq.write_table(table(labels), tmp_path / "a.parquet")
    _, found = opened(tmp_path / "a.parquet")
    assert [label for _, label in found["train"]] == [expected[n] for n in NUMBERS]


def test_pandas_writes_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(24), "img": PNGS, "category": ["a", "b"] * 12})
    frame.to_parquet(tmp_path / "a.parquet")
    _, found = opened(tmp_path / "a.parquet")
    assert found == {"train": [(PNGS[n], "ab"[n % 2]) for n in range(24)]}


@pytest.mark.parametrize(
    "names",
    [
        ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
         "data/validation-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("default/train/0000.parquet", "default/train/0001.parquet", "default/val/0000.parquet",
         "default/test/0000.parquet"),
    ],
)  # fmt: skip
def test_parts_by_the_names_of_files(tmp_path: Path, names) -> None:
    for place, name in enumerate(names):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        own = slice(6 * place, 6 * place + 6)
        pq.write_table(table(NUMBERS[own], PNGS[own]), path)
    (tmp_path / "set" / "README.md").write_text("A data set.")
    _, found = opened(tmp_path / "set")
    assert found == {
        part: [(PNGS[n], str(NUMBERS[n])) for n in numbers]
        for part, numbers in (("train", range(12)), ("validation", range(12, 18)),
                              ("test", range(18, 24)))
    }  # fmt: skip


def test_images_to_be_classified_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    pq.write_table(table(), tmp_path / "set" / "train-00000-of-00001.parquet")
    blank = table([-1] * 6).drop_columns("label")
    pq.write_table(blank, tmp_path / "set" / "test-00000-of-00001.parquet")
    tree, found = opened(tmp_path / "set")
    assert [*found] == ["train"]
    assert "Skipped: test-00000-of-00001.parquet, which has no labels." in tree.notes
    pq.write_table(table([-1, None, 0, 1, 0, 1]), tmp_path / "a.parquet")
    tree, found = opened(tmp_path / "a.parquet")
    assert [label for _, label in found["train"]] == ["0", "1", "0", "1"]
    assert tree.notes == ("Skipped: 2 images without a label.",)


def test_an_image_without_bytes_is_a_broken_one(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(images=[None, *PNGS[1:]]), path)
    with pytest.raises(DataError, match=r"a.parquet/0000000 .* no bytes of it"):
        load(str(path), LoadingConfig(), seed=0)
    data = load(str(path), LoadingConfig(skip_broken=True), seed=0)
    assert sum(map(len, data.splits.values())) == 23


OPENING = """
import sys, pathlib, pyarrow
from prospr_engine.data.readers.opening import open_uploaded
with open_uploaded(pathlib.Path(sys.argv[1]), "a.parquet") as tree:
    assert len(tree.open(tree.files[-1]).read()) == 3_000_004
print(pyarrow.default_memory_pool().max_memory())
"""


def test_the_same_image_is_kept_once(tmp_path: Path) -> None:
    """100 times 3 MB in 3 MB: memory takes a few of them at most."""
    large = b"\x89PNG" + np.random.default_rng(0).bytes(3_000_000)
    path = tmp_path / "a.parquet"
    pq.write_table(table([0, 1] * 50, [large] * 100), path, dictionary_pagesize_limit=1 << 24)
    assert path.stat().st_size < 3_100_000
    command = [sys.executable, "-c", OPENING, str(path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(result.stdout) < 60_000_000


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (pa.table({"a": [1, 2], "b": ["x", "y"]}), "its columns are 'a' and 'b'"),
        (table().drop_columns("label"), None),
        (table().rename_columns(["image", "price"]), "besides the images it has 'price'"),
        (table([0.5] * 24), "besides the images it has 'label'"),
        (table([0] * 24), "only the label '0'"),
        (table(pa.array([], pa.int64())), "no image with a label"),
        (table([None] * 24), "no column of labels"),
        (with_images(["cat.png"] * 24), "column 'image' has text, perhaps the paths"),
        (with_images([{"path": "cat.png"}] * 24), "column 'image' has no bytes, only path"),
        (with_images([[0] * 64] * 24), "column 'image' has lists of numbers"),
        (table(images=[None] * 24), "column 'image' is empty, or has only paths"),
    ],
    ids=["no image", "no column", "other", "floats", "one class", "empty", "nulls", "paths",
         "struct of paths", "arrays", "no bytes"],
)  # fmt: skip
def test_mistakes_are_sentences(tmp_path: Path, made, words) -> None:
    pq.write_table(made, tmp_path / "a.parquet")
    with pytest.raises(DataError) as error:
        opened(tmp_path / "a.parquet")
    assert (words or "has no image with a label") in str(error.value)


def written(**options) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table(), stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PAR1" + b"\0" * 20, "ends too early"),
        (b"PAR1" + b"\xff\xff\xff\x7fPAR1", "ends too early"),
        (b"PAR1" + b"\0" * 20 + b"\0\0\0\0PARE", "encrypted"),
        (b"PAR1" + b"\x19" * 60 + (60).to_bytes(4, "little") + b"PAR1", "cannot be read"),
        (written(column_encoding={"image.bytes": "DELTA_BYTE_ARRAY"}, use_dictionary=False),
         "encoding"),
    ],
    ids=["no end", "long summary", "encrypted", "nonsense", "prefixes"],
)  # fmt: skip
def test_other_content_is_a_sentence(tmp_path: Path, content, words) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words), open_uploaded(path, "a.parquet"):
        pass


def test_a_bomb_is_refused_by_its_pages(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.parquet"
    images = [n.to_bytes(4, "little") + bytes(10_000_000) for n in range(24)]
    pq.write_table(table(images=images), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match="zip bomb"), open_uploaded(path, "a.parquet"):
        pass


DIES = """
def read_through(files, uploaded):
    import os
    os.kill(os.getpid(), 11)
"""


def test_what_ends_the_process_that_reads_it_leaves_the_server_alone(
    sandboxed: None, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "dies.py").write_text(DIES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(parquet, "READ_THROUGH", "dies:read_through")
    pq.write_table(table(), tmp_path / "a.parquet")
    with (
        pytest.raises(DataError, match=r"a\.parquet cannot be read .* crashes"),
        open_uploaded(tmp_path / "a.parquet", "a.parquet"),
    ):
        pass


def crashing() -> bytes:
    """A list of three numbers that says it has two: pyarrow 26 ends the process that asks it for
    the column with these, the numbers of rows by how much of an image is there."""
    content = WRITTEN.replace(b"\x36\0\0\x12", b"\x26\0\0\x12", 1)
    assert content != WRITTEN
    return content


def test_what_ends_the_process_that_opens_an_own_file_is_a_sentence(
    sandboxed: None, tmp_path: Path
) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(crashing())
    with pytest.raises(DataError, match=r"a\.parquet cannot be read .* Write the file again\."):
        opened(path)


def test_the_file_of_a_folder_that_ends_the_process_is_named(
    spare: SpareProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for number in range(7):
        content = crashing() if number == 4 else WRITTEN
        (tmp_path / f"train-{number:05}-of-00007.parquet").write_bytes(content)
    monkeypatch.setattr(sandbox, "call", spare.call)
    with pytest.raises(DataError, match=r"^train-00004-of-00007\.parquet cannot be read .* again"):
        opened(tmp_path)


def test_a_whole_folder_is_tried_out_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []
    for number in range(7):
        (tmp_path / f"train-{number:05}-of-00007.parquet").write_bytes(WRITTEN)
    monkeypatch.setattr(
        sandbox, "call", lambda *given: calls.append(given) or in_this_process(*given)
    )
    _, found = opened(tmp_path)
    assert len(found["train"]) == 7 * 24
    assert len(calls) == 1


def test_an_upload_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    content = bytearray(WRITTEN)
    content[21] = 20  # it unpacks to more than it says
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.parquet is damaged"), open_uploaded(path, "a.parquet"):
        pass


def test_pages_are_measured_as_pyarrow_wrote_them(tmp_path: Path) -> None:
    for version in ("1.0", "2.0"):
        path = tmp_path / "a.parquet"
        pq.write_table(table(), path, data_page_version=version, row_group_size=7)
        summary = pq.ParquetFile(path).metadata
        for group in range(summary.num_row_groups):
            column = summary.row_group(group).column(0)
            start = min(column.data_page_offset, column.dictionary_page_offset)
            with path.open("rb") as file:
                taken, _ = parquet_pages.unpacked_bytes(
                    file, start, column.total_compressed_size, 10**9
                )
            assert 0 < column.total_uncompressed_size - taken < 700  # which counts the headers


HEAD = b"\x15\0\x15\x02\x15\x02"  # of a page of data: its type, and one byte, unpacked and packed
DATA = b"\x2c\x15\x02\x15\0\0"  # one value, as it is


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (HEAD + DATA, None),
        (HEAD + b"\x2c\x15\x02\x1c\0\0", "the encoding {}"),
        (b"\x15\0\x11\x15\x02" + DATA, "no size"),
        (HEAD + b"\x05\x04\x02\x15\x02" + DATA, "a field twice"),
    ],
    ids=["fine", "structure as encoding", "no number as size", "two sizes"],
)
def test_headers_of_pages(header: bytes, words: str | None) -> None:
    page = header + b"\0" + b"x"
    if words is None:
        assert parquet_pages.unpacked_bytes(io.BytesIO(page), 0, len(page), 100) == (1, 0)
    else:
        with pytest.raises(ValueError, match=words):
            parquet_pages.unpacked_bytes(io.BytesIO(page), 0, len(page), 100)


@given(changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=4),
       cut=st.integers(0, 20_000))  # fmt: skip
@example(changes=[(21, 20)], cut=0)  # pages that unpack to more than they say
@example(changes=[(1476, 44)], cut=1)  # see crashing()
@fuzzed(200)
def test_any_change_of_bytes_is_a_sentence_or_images(
    spare: SpareProcess, changes: list[tuple[int, int]], cut: int
) -> None:
    content = bytearray(WRITTEN)
    for place, byte in changes:
        content[-1 - place % min(2_000, len(content))] = byte  # the summary, mostly
        content[place % len(content)] = byte
    with tempfile.NamedTemporaryFile(suffix=".parquet") as file:
        file.write(content if cut % 4 else content[cut % len(content) :])
        file.flush()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.suppress(DataError, OSError),
        ):
            patch.setattr(sandbox, "call", spare.call)
            with open_data(file.name) as (_, tree):
                assert isinstance(tree, Tree)
                for name in tree.files:
                    tree.open(name).read()


WRITTEN = written(row_group_size=9)


def test_a_run_reads_the_images(tmp_path: Path, folder) -> None:
    path = tmp_path / "pets.parquet"
    pq.write_table(table(metadata=features("cat", "dog")), path)
    data = load(str(path), LoadingConfig(), seed=0)
    files = {f"{('cat', 'dog')[n % 2]}/{n:02}.png": content for n, content in enumerate(PNGS)}
    other = load(folder(files), LoadingConfig(), seed=0)
    ours, theirs = (
        sorted(image.numpy().tobytes() for split in each.splits.values() for image in split.images)
        for each in (data, other)
    )
    assert ours == theirs
    facts = describe(str(path))
    assert (facts.classes, facts.per_class) == (("cat", "dog"), (12, 12))
    assert (facts.channels, facts.image_size) == (3, 8)
    found = preview(path, "Mine.parquet")
    assert {name: len(shown) for name, shown in found.samples.items()} == {"cat": 3, "dog": 3}
