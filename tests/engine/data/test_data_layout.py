from __future__ import annotations

import io

import numpy as np
import pytest

from prospr_engine.data.decode import is_image
from prospr_engine.data.layout import arrange
from prospr_engine.data.paths import natural
from prospr_engine.data.readers.tree import Tree
from prospr_engine.errors import DataError


def arranged(*files: str, folders: tuple[str, ...] = (), notes: tuple[str, ...] = ()):
    return arrange(Tree("data", files, folders, lambda path: io.BytesIO(), notes), is_image)


def found(layout) -> dict[str, list[tuple[str, str]]]:
    """By part: (class, file)."""
    return {
        part: [(layout.classes[layout.labels[i]], layout.files[i]) for i in numbers]
        for part, numbers in layout.parts.items()
    }


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
    ("files", "folders", "sentence"),
    [
        ((), (), "no readable images"),
        (("a/1.heic", "b/2.heic"), (), r"of other types \(.heic\)"),
        (("1.png", "2.png"), (), "no class folders"),
        (("cat/1.png",), (), "only the class 'cat'"),
        (("set/cat/1.png",), (), "only the class 'cat'"),
        (("a/1.png", "b/1.png"), ("c",), "class 'c' of data"),
        (("a/1.png", "b/1.png", "c/x.txt"), (), "class 'c' of data"),
        (("train/a/1.png", "train/b/1.png", "test/a/1.png"), (), "only one of them has 'b'"),
        (
            ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"),
            ("test/c",),
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


def listing(text: str) -> list[str]:
    """Paths from lines of folders: two images in each, or none before a ``!``."""
    return [
        f"{folder}/{n}.png" for folder in text.split() for n in (1, 2) if not folder.endswith("!")
    ]


PUBLISHED = {
    "Intel scenes": """seg_train/seg_train/sea seg_train/seg_train/street seg_test/seg_test/sea
        seg_test/seg_test/street seg_pred/seg_pred""",
    "cats and dogs": """training_set/training_set/cats training_set/training_set/dogs
        test_set/test_set/cats test_set/test_set/dogs""",
    "ASL alphabet": """asl_alphabet_train/asl_alphabet_train/A
        asl_alphabet_train/asl_alphabet_train/B asl_alphabet_test/asl_alphabet_test""",
    "chest X-ray": """chest_xray/train/NORMAL chest_xray/train/PNEUMONIA chest_xray/val/NORMAL
        chest_xray/val/PNEUMONIA chest_xray/test/NORMAL chest_xray/test/PNEUMONIA
        chest_xray/__MACOSX/train/NORMAL""",
    "Fruits": "fruits/Training/Apple fruits/Training/Kiwi fruits/Test/Apple fruits/Test/Kiwi",
    "Train_data": "Train_data/a Train_data/b Test_data/a Test_data/b",
    "TrainData": "TrainData/a TrainData/b TestData/a TestData/b ValData/a ValData/b",
    "trainset": "trainset/a trainset/b testset/a testset/b",
    "images": "x/train_images/a x/train_images/b x/test_images/a x/test_images/b",
    "dev and eval": "train/a train/b dev/a dev/b eval/a eval/b",
    "Hurricane": "train_another/a train_another/b validation_another/a validation_another/b",
    "COCO": "train2017/a train2017/b val2017/a val2017/b",
    "inner images": "train/images/a train/images/b test/images/a test/images/b",
    "DIV": "dataset/dataset/MY_train/a dataset/dataset/MY_train/b dataset/dataset/MY_test/a "
    "dataset/dataset/MY_test/b",
    "inverted": "a/train a/test b/train b/test",
    "inverted in a folder": "set/a/Training set/a/Testing set/b/Training set/b/Testing",
    "inverted with validation": "a/train a/val a/test b/train b/val b/test",
    "one to predict": """dataset/training_set/cats dataset/training_set/dogs
        dataset/test_set/cats dataset/test_set/dogs dataset/single_prediction""",
    "train and val in one": "train_val/a train_val/b test/a test/b",
}
WANTED = {
    "Intel scenes": {"train": 4, "test": 4},
    "ASL alphabet": {"train": 4},
    "chest X-ray": {"train": 4, "validation": 4, "test": 4},
    "TrainData": {"train": 4, "validation": 4, "test": 4},
    "dev and eval": {"train": 4, "validation": 4, "test": 4},
    "inverted with validation": {"train": 4, "validation": 4, "test": 4},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parts_as_people_name_them(name) -> None:
    layout = arranged(*listing(PUBLISHED[name]))
    assert len(layout.classes) == 2
    assert {part: len(n) for part, n in layout.parts.items()} == WANTED.get(
        name, {"train": 4, "test": 4}
    )
    for part, numbers in found(layout).items():
        assert all(own in file.split("/") for own, file in numbers), part


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        ("real_and_fake/training_fake real_and_fake/training_real", "training_fake training_real"),
        ("test1 test2 test3", "test1 test2 test3"),
        ("bullet_train test_tube car", "bullet_train car test_tube"),
        ("train bus car", "bus car train"),
        ("n01/images n02/images", "n01 n02"),  # Tiny ImageNet
        ("101_ObjectCategories/ant 101_ObjectCategories/bee", "ant bee"),
        ("a/left a/right b/front b/back", "a b"),
        ("valid invalid", "invalid valid"),
        ("evaluation/1 other/2", "evaluation other"),
    ],
)
def test_what_only_looks_like_parts(text, classes) -> None:
    layout = arranged(*listing(text))
    assert (" ".join(layout.classes), set(layout.parts)) == (classes, {"train"})


def test_lists_beside_the_images_are_no_class() -> None:
    layout = arranged("food/images/pie/1.png", "food/images/soup/1.png", "food/meta/all.txt")
    assert layout.classes == ("pie", "soup")
    layout = arranged(*listing("train/a train/b test/a test/b"), "labels/a.txt")
    assert set(layout.parts) == {"train", "test"}
    assert "Skipped: 'labels', without images." in layout.notes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("raw/cat raw/dog augmented/cat augmented/dog", "'augmented' and 'raw' all contain 'cat'"),
        ("fold1/a fold1/b fold2/a fold2/b fold3/a fold3/b", "unclear which of them"),
        ("COVID/images COVID/masks Normal/images Normal/masks", "'images' and 'masks'"),
        (
            "train/raw/a train/raw/b train/new/a train/new/b test/raw/a test/new/a",
            "'new' and 'raw'",
        ),
        ("raw/train/a raw/train/b raw/test/a new/train/a new/train/b new/test/a", "unclear"),
        ("2020/a 2020/b 2021/a 2021/b 2021/c", "unclear which of them"),
        ("dev/a dev/b eval/a eval/b", "no part named train"),
        ("seg_test/a seg_test/b seg_pred", "no part named train"),
        ("train_images test_images", "no class folders"),
        ("cat dog test/cat test/dog", "both beside and within 'test'"),
        ("train1/a train1/b train2/a train2/b", "names of the same part"),
    ],
)
def test_what_is_unclear_is_refused(text, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        arranged(*listing(text))


LEFT_BEHIND = [
    *("@eaDir/1.jpg", "a/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "#recycle/1.png"),
    *("#snapshot/a/1.png", ".@__thumb/1.png", "@Recycle/1.png", "@Recently-Snapshot/a/1.png"),
    *("lost+found/1.png", ".Trash-1000/files/1.png", "$RECYCLE.BIN/S-1-5/1.png"),
    *("System Volume Information/1.png", "RECYCLER/1.png", "found.000/1.png"),
    *("__MACOSX/a/._1.png", ".Trashes/501/1.png", "Network Trash Folder/1.png"),
    *(".dropbox.cache/1.png", ".git/1.png", "a/.ipynb_checkpoints/1-checkpoint.png"),
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
