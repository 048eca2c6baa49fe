from __future__ import annotations

import numpy as np
import pytest
from data_layouts import arranged, found
from hypothesis import given
from hypothesis import strategies as st

from prospr_engine.data import leftovers
from prospr_engine.data.paths import natural
from prospr_engine.errors import DataError


def test_class_folders() -> None:
    layout = arranged("dog/b.JPG", "cat/a.png", "cat/deeper/c.WebP")
    assert layout.classes == ("cat", "dog")
    assert found(layout) == {
        "train": [("cat", "cat/a.png"), ("cat", "cat/deeper/c.WebP"), ("dog", "dog/b.JPG")]
    }
    assert layout.labels.dtype == np.int64


@pytest.mark.parametrize("wrap", ["", "set/", "a/b/c/"])
@pytest.mark.parametrize(
    ("train", "test", "val"),
    [("train", "test", "val"), ("Training", "TESTING", "Valid"), ("TRAIN", "Test", "validation")],
)
def test_parts_of_any_letter_case_in_any_wrapping(wrap, train, test, val) -> None:
    names = [(train, "train"), (test, "test"), (val, "validation")]
    layout = arranged(*(f"{wrap}{top}/{c}/x.png" for top, _ in names for c in ("cat", "dog")))
    assert layout.classes == ("cat", "dog")
    assert {part: len(numbers) for part, numbers in layout.parts.items()} == {
        part: 2 for _, part in names
    }


def test_a_lone_validation_part_is_the_test() -> None:
    layout = arranged("train/a/1.png", "train/b/1.png", "val/a/1.png", "val/b/1.png")
    assert set(layout.parts) == {"train", "test"}
    assert layout.notes == ("There is no test part, so the images in 'val' are used for testing.",)


def test_a_lone_train_part_is_a_wrapping() -> None:
    layout = arranged("train/a/1.png", "train/b/1.png")
    assert (set(layout.parts), layout.classes) == ({"train"}, ("a", "b"))


def test_unlabelled_test_images_are_left_out() -> None:
    layout = arranged("train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png", "test/3.png")
    assert (set(layout.parts), layout.classes) == ({"train"}, ("a", "b"))
    assert "Skipped: 3 images outside the class folders." in layout.notes
    assert "The images in 'test' have no classes and cannot be used." in layout.notes


def test_a_class_may_be_called_train() -> None:
    layout = arranged("train/1.png", "bus/1.png", "car/1.png")
    assert layout.classes == ("bus", "car", "train")


def test_what_is_no_image_is_skipped_and_counted() -> None:
    layout = arranged(
        *("a/1.png", "b/1.png", "preview.png", "README.txt", "a/labels.csv", "a/list.csv"),
        *(".DS_Store", "a/Thumbs.db", "a/.hidden.png", "__MACOSX/a/._1.png", ".git/x/1.png"),
        folders=(".git", "__MACOSX"),
    )
    assert (layout.classes, len(layout.files)) == (("a", "b"), 2)
    assert layout.notes == (
        "Skipped: 5 hidden or system files.",
        "Skipped: 3 files of other types (.csv, .txt).",
        "Skipped: 1 image outside the class folders.",
    )


def test_a_readme_beside_the_wrapping_folder_does_no_harm() -> None:
    assert arranged("README.md", "set/a/1.png", "set/b/1.png").classes == ("a", "b")


@pytest.mark.parametrize(
    ("files", "folders", "named"),
    [
        (("a/1.png", "b/1.png"), ("c",), "1 empty folder ('c')"),
        (("a/1.png", "b/1.png", "c/.DS_Store"), ("c", "d"), "2 empty folders ('c' and 'd')"),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"),
            ("train/c", "test/c"),
            "1 empty folder ('c')",
        ),
    ],
)
def test_an_empty_folder_is_no_class(files, folders, named) -> None:
    found = arranged(*files, folders=folders)
    assert found.classes == ("a", "b")
    assert f"Skipped: {named}." in found.notes


def test_a_class_that_is_empty_in_one_part_is_not_left_out() -> None:
    files = ("train/a/1.png", "train/b/1.png", "train/c/1.png", "test/a/1.png", "test/b/1.png")
    with pytest.raises(DataError, match="class 'c' of part 'test'"):
        arranged(*files, folders=("test/c",))


@pytest.mark.parametrize(
    ("files", "folders", "sentence"),
    [
        ((), (), "no readable images"),
        (("a/1.heic", "b/2.heic"), (), r"of other types \(.heic\)"),
        (("1.png", "2.png"), (), "no class folders"),
        (("cat/1.png",), (), "only the class 'cat'"),
        (("set/cat/1.png",), (), "only the class 'cat'"),
        (("a/1.png", "b/1.png", "c/x.txt"), (), "class 'c' of data"),
        (("train/a/1.png", "train/b/1.png", "test/a/1.png"), (), "only one of them has 'b'"),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", "test/c/x.txt"),
            (),
            "class 'c' of part 'test'",
        ),
        (
            ("train/Cat/1.png", "train/dog/1.png", "test/cat/1.png", "test/dog/1.png"),
            (),
            "only one of them has 'Cat' and 'cat'",
        ),
        (("train/a/1.png", "train/b/1.png"), ("test",), "part 'test' of data contains no images"),
        (("test/a/1.png", "val/b/1.png"), (), "no part named train"),
        (("train/1.png", "test/2.png"), (), "no class folders"),
        (
            ("train/a/1.png", "Training/a/1.png", "test/a/1.png"),
            (),
            "'train' and 'Training', which are names of the same",
        ),
        (
            ("train/a/1.png", "test/a/1.png", "extra/a/1.png"),
            (),
            "'extra' beside 'test' and 'train'",
        ),
    ],
)
def test_what_is_wrong_is_said(files, folders, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        arranged(*files, folders=folders)


def test_a_refusal_names_what_was_left_out_before() -> None:
    with pytest.raises(DataError, match="2 links to folders"):
        arranged("a/1.png", notes=("Skipped: 2 links to folders.",))


LEFT_BEHIND = [
    *("@eaDir/1.jpg", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/1.png"),
    *("#snapshot/a/1.png", ".@__thumb/1.png", "@Recycle/1.png", "@Recently-Snapshot/a/1.png"),
    *("lost+found/1.png", ".Trash-1000/files/1.png", "$RECYCLE.BIN/S-1-5/1.png"),
    *("System Volume Information/1.png", "RECYCLER/1.png", "found.000/1.png"),
    *("__MACOSX/a/._1.png", ".Trashes/501/1.png", "Network Trash Folder/1.png"),
    *(".dropbox.cache/1.png", ".git/1.png", "a/.ipynb_checkpoints/1-checkpoint.png"),
    *("_gsdata_/1.png", "LOST.DIR/1.png", "~snapshot/a/1.png", "$WINDOWS.~BT/1.png", "CVS/1.png"),
    *("a/Thumbs.db:encryptable", "node_modules/x/1.png", "wandb/run-1/1.png", "MSOCache/1.png"),
    *(".stfolder/1.png", ".sync/Archive/1.png", ".fseventsd/1.png", ".Spotlight-V100/1.png"),
    *("Photos.lrdata/1.png", "x/Catalog.lrcat-data/1.png", "__pycache__/1.png"),
]


@pytest.mark.parametrize("path", LEFT_BEHIND)
def test_what_systems_leave_is_no_class(path) -> None:
    layout = arranged("a/1.png", "b/1.png", path, folders=(path.rsplit("/", 1)[0],))
    assert (layout.classes, layout.files) == (("a", "b"), ("a/1.png", "b/1.png"))
    assert layout.notes == ("Skipped: 1 hidden or system file.",)


@pytest.mark.parametrize("top", ["", "train/", "set/train/"])
def test_a_set_for_detection_is_said_to_be_one(top) -> None:
    files = [f"{top}images/1.png", f"{top}labels/1.txt"]
    if top:
        files += [file.replace("train", "valid") for file in files]
    with pytest.raises(DataError, match="as sets for detection"):
        arranged(*files)


def test_composed_and_decomposed_names_are_the_same() -> None:
    train, test = "Caf\N{LATIN SMALL LETTER E WITH ACUTE}", "Cafe\N{COMBINING ACUTE ACCENT}"
    layout = arranged(f"train/{train}/1.png", "train/b/1.png", f"test/{test}/1.png", "test/b/1.png")
    assert layout.classes == ("b", train)
    assert f"test/{test}/1.png" in layout.files
    assert arranged(f"{train}/1.png", f"{test}/2.png", "b/3.png").classes == ("b", train)


def test_names_that_are_no_text() -> None:
    names = [bytes([97, last]).decode("utf-8", "surrogateescape") for last in (0xFE, 0xFF)]
    layout = arranged(*(f"{name}/1.png" for name in names))
    assert layout.classes == ("a\\xfe", "a\\xff")
    assert layout.files == tuple(f"{name}/1.png" for name in names)


def test_a_long_name_is_shortened_in_messages() -> None:
    with pytest.raises(DataError) as refusal:
        arranged(f"{'x' * 5000}/1.png")
    assert len(str(refusal.value)) < 300


def test_natural_order() -> None:
    names = ["img10", "img9", "Img1", "10", "9", "a", "B", "009", "x" + "1" * 5000, "²"]
    assert sorted(names, key=natural)[:3] == ["009", "9", "10"]
    assert sorted(["img10", "img9", "Img1"], key=natural) == ["Img1", "img9", "img10"]
    backwards = names[::-1]
    assert sorted(names, key=natural) == sorted(backwards, key=natural)


PIECES = st.sampled_from(
    [
        *leftovers.NAMES,
        *"ab.~$\n/",
        "found.000",
        "$recycle.bin",
        "thumbs.db:",
        ".lrdata",
        "İ",
        "B.png",
    ]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_leftover_is_a_file_with_one_in_its_path(path: str):
    assert leftovers.is_leftover(path) == any(
        part.startswith(".")
        or part.lower() in leftovers.NAMES
        or leftovers.PATTERNS.fullmatch(part.lower()) is not None
        for part in path.split("/")
    )
