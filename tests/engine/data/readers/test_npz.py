"""Arrays as NumPy writes them, and as it would not."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st

from prospr_engine.config import LoadingConfig
from prospr_engine.data.inspect import describe
from prospr_engine.data.load import load
from prospr_engine.data.preview import preview
from prospr_engine.data.readers.opening import open_data, open_uploaded
from prospr_engine.data.readers.tree import Tree
from prospr_engine.errors import DataError

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (40, 8, 6, 3), dtype=np.uint8)
NUMBERS = np.arange(40) % 2


@pytest.fixture
def saved(tmp_path: Path):
    def save(compressed: bool = True, **arrays) -> str:
        path = tmp_path / "set.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return str(path)

    return save


def opened(path: str) -> tuple[Tree, dict[str, np.ndarray], dict[str, list[str]]]:
    """The tree, and by part the pixels (N, H, W, C) and the labels."""
    with open_data(path) as (_, tree):
        assert isinstance(tree, Tree)
        assert tree.layout is not None
        layout = tree.layout
        pixels, labels = {}, {}
        for part, numbers in layout.parts.items():
            found = []
            for n in numbers:
                with tree.open(layout.files[n]) as stream:
                    magic, size, _, content = stream.read().split(b"\n", 3)
                width, height = map(int, size.split())
                channels = {b"P5": 1, b"P6": 3}[magic]
                found.append(np.frombuffer(content, np.uint8).reshape(height, width, channels))
            pixels[part] = np.stack(found)
            labels[part] = [layout.classes[layout.labels[n]] for n in numbers]
        return tree, pixels, labels


@pytest.mark.parametrize(
    ("images", "labels"),
    [("x_train", "y_train"), ("train_images", "train_labels"), ("X", "y"), ("images", "labels"),
     ("trainX", "trainY"), ("data", "target"), ("arr_0", "arr_1"), ("Xtr_ain", "cls")],
)  # fmt: skip
def test_names_in_any_form(saved, images: str, labels: str) -> None:
    _, pixels, own = opened(saved(**{images: PIXELS, labels: NUMBERS}))
    assert (pixels["train"] == PIXELS).all()
    assert own == {"train": [str(n) for n in NUMBERS]}


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.transpose(0, 3, 1, 2),
        lambda x: np.ascontiguousarray(x.transpose(0, 3, 1, 2)),
        np.asfortranarray,
        lambda x: x.astype(np.int64),
        lambda x: x.astype(">f4"),
        lambda x: x / 255,
        lambda x: (x / 255).astype(np.float32),
        lambda x: x.astype(np.uint16) << 8,
    ],
)
def test_pixels_in_any_form(saved, form, compressed: bool) -> None:
    given = PIXELS.copy()
    given[0, 0, 0], given[0, 0, 1] = 0, 255  # the whole range
    _, pixels, _ = opened(saved(compressed, images=form(given), labels=NUMBERS))
    assert (pixels["train"] == given).all()


def test_grey_images_and_values_of_another_range(saved) -> None:
    grey = PIXELS[..., 0]
    _, pixels, _ = opened(saved(x=grey, y=NUMBERS))
    assert (pixels["train"][..., 0] == grey).all()
    standardised = (grey - grey.mean()) / grey.std() * 3
    tree, pixels, _ = opened(saved(x=standardised, y=NUMBERS))
    assert (pixels["train"].min(), pixels["train"].max()) == (0, 255)
    assert any("were converted to 8 bits" in note for note in tree.notes)
    _, pixels, _ = opened(saved(x=grey > 100, y=NUMBERS))
    assert (pixels["train"][..., 0] == np.where(grey > 100, 255, 0)).all()


@pytest.mark.parametrize(
    "labels",
    [
        NUMBERS[:, None],
        np.eye(2)[NUMBERS],
        np.eye(2, dtype=bool)[NUMBERS],
        NUMBERS.astype(float),
        NUMBERS == 1,
        NUMBERS.astype(str),
        NUMBERS.astype("S"),
        NUMBERS.astype(">u2"),
    ],
)
def test_labels_in_any_form(saved, labels) -> None:
    assert opened(saved(x=PIXELS, y=labels))[2] == {"train": [str(n) for n in NUMBERS]}


@pytest.mark.parametrize("key", ["class_names", "classes", "label_names"])
def test_classes_have_names_in_their_order(saved, key: str) -> None:
    path = saved(x=PIXELS, y=NUMBERS, **{key: np.array(["zebra", "ape"])})
    tree, _, labels = opened(path)
    assert labels["train"] == ["zebra", "ape"] * 20
    assert tree.layout is not None
    assert tree.layout.classes == ("zebra", "ape")


def test_parts_as_medmnist_has_them(saved) -> None:
    own = {}
    for part, N in (("train", 40), ("val", 12), ("test", 16)):
        own[f"{part}_images"], own[f"{part}_labels"] = PIXELS[:N], NUMBERS[:N, None]
    _, pixels, labels = opened(saved(**own))
    assert {part: len(x) for part, x in pixels.items()} == {
        "train": 40, "validation": 12, "test": 16
    }  # fmt: skip
    assert (pixels["test"] == PIXELS[:16]).all()
    assert labels["validation"] == ["0", "1"] * 6


def test_images_without_labels_are_left_out(saved) -> None:
    tree, pixels, _ = opened(saved(x_train=PIXELS, y_train=NUMBERS, x_test=PIXELS[:9]))
    assert [*pixels] == ["train"]
    assert tree.notes == (
        "Skipped: 'x_test' (9 × 8 × 6 × 3, uint8), for which there are no labels.",
    )


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"x": PIXELS, "y": NUMBERS[:30]}, "40 images in 'x', but 'y' (30, int64)"),
        ({"a": PIXELS, "b": PIXELS}, "it contains 'a' (40 × 8 × 6 × 3, uint8) and 'b'"),
        ({"a": PIXELS, "b": PIXELS, "c": NUMBERS.astype(str)}, "and 'c' (40, text). Name"),
        ({}, "it contains no array"),
        ({"x": PIXELS, "y": NUMBERS * 0}, "only the label '0'"),
        ({"x": PIXELS[:0], "y": NUMBERS[:0]}, "no image with a label"),
        ({"x": PIXELS, "y": NUMBERS / 3}, "not whole numbers"),
        ({"x": PIXELS, "y": np.stack([NUMBERS, NUMBERS], 1)}, "one class per image"),
        ({"x": np.where(PIXELS > 9, PIXELS, np.nan), "y": NUMBERS}, "NaN or infinite"),
        ({"x": PIXELS.reshape(40, -1), "y": NUMBERS}, "cannot be read as images"),
        ({"x": np.zeros((40, 8, 8, 2)), "y": NUMBERS}, "1 channel (grey) or 3"),
        ({"x": PIXELS, "images": PIXELS, "y": NUMBERS}, "may both be the images"),
        ({"x_train": PIXELS, "y_train": NUMBERS, "x_test": PIXELS, "y_test": NUMBERS + 1},
         "'2' of set.npz is in the test part only"),
        ({"x": PIXELS, "y": NUMBERS.astype(object)}, "Python objects, which are never unpickled"),
        ({"x": np.array([["a"]] * 40), "y": NUMBERS}, "cannot be read as images"),
    ],
)  # fmt: skip
def test_mistakes_are_sentences(saved, arrays, words: str) -> None:
    with pytest.raises(DataError) as error:
        opened(saved(**arrays))
    assert words in str(error.value)


def npy(shape: str, dtype: str = "'|u1'", content: bytes = b"", extra: str = "") -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}{extra}}}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


def archive(path: Path, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for key, content in entries.items():
            file.writestr(zipfile.ZipInfo(f"{key}.npy"), content, zipfile.ZIP_DEFLATED)
    return path


LABELS = npy("(2,)", content=b"\0\1")


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (npy("(2, 99999999, 99999999)"), "not as many as its shape says"),
        (npy("(2, 8, 8)", content=b"\0" * 127), "not as many as its shape says"),
        (npy("(2, 8, 8)", content=b"\0" * 129), "not as many as its shape says"),
        (npy("(-2, -8, 8)", content=b"\0" * 128), "impossible shape"),
        (npy("(2, 8, 8)", "'|O'", b"\0" * 128), "never unpickled"),
        (npy("(2,)", "[('a', '<i4')]", b"\0" * 8), "consists of"),
        (npy("(2, 8, 8)", "'<M8[s]'", b"\0" * 1024), "consists of"),
        (npy("__import__('os').getcwd()"), "cannot be read"),
        (npy("(" * 500 + ")" * 500), "cannot be read"),
        (npy("(2, 8, 8)", extra=", 'x': " + "1" * 20_000), "cannot be read"),
        (b"\x93NUMPY\x03\x00\xff\xff\xff\xff", "cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}", "cannot be read"),
        (b"not an array", "cannot be read"),
        (npy("(2, 10000, 10000)", content=b"\0" * 200_000_000), "zip bomb"),
    ],
    ids=["huge", "short", "long", "negative", "objects", "records", "dates", "program", "nested",
         "long header", "version 3", "claims 2 GB", "other", "bomb"],
)  # fmt: skip
def test_lies_are_refused_before_anything_is_allocated(tmp_path: Path, entry, words) -> None:
    path = archive(tmp_path / "x.npz", images=entry, labels=LABELS)
    with pytest.raises(DataError) as error, open_uploaded(path, "Mine.npz"):
        pass
    assert words in str(error.value)


def test_damage_is_a_sentence(saved) -> None:
    path = Path(saved(x=PIXELS, y=NUMBERS))
    content = bytearray(path.read_bytes())
    content[300] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        opened(str(path))


@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), length=st.integers(0, 10_000))
@fuzzed(150)
def test_any_change_of_bytes_is_a_sentence_or_images(place: int, byte: int, length: int) -> None:
    stream = io.BytesIO()
    np.savez(stream, x=PIXELS[:6, :, :, 0], y=NUMBERS[:6])
    content = bytearray(stream.getvalue())
    content[place % len(content)] = byte
    if length % 3 == 0:
        del content[length % len(content) :]
    path = Path(f"/tmp/prospr-test-{place % 7}.npz")
    path.write_bytes(content)
    try:
        with open_uploaded(path, "Mine.npz"):
            pass
    except DataError:
        pass
    finally:
        path.unlink()


def test_arrays_called_a_zip_are_told_from_one(saved) -> None:
    path = Path(saved(x=PIXELS, y=NUMBERS))
    with (
        pytest.raises(DataError, match=r"set\.zip contains arrays .* end in \.npz"),
        open_data(str(path.rename(path.with_suffix(".zip")))),
    ):
        pass


def test_a_run_reads_what_was_saved(saved) -> None:
    images = RANDOM.integers(0, 256, (60, 8, 8), dtype=np.uint8)
    path = saved(images=images, labels=np.arange(60) % 3)
    data = load(path, LoadingConfig(), seed=0)
    ours = [image.numpy()[0] for split in data.splits.values() for image in split.images]
    assert sorted(map(bytes, ours)) == sorted(map(bytes, images))
    facts = describe(path)
    assert (facts.classes, facts.per_class) == (("0", "1", "2"), (20, 20, 20))
    assert (facts.channels, facts.image_size) == (1, 8)
    assert preview(Path(path), "Mine.npz").counts["train"] == (20, 20, 20)
