"""Parts, classes and neither, as people name folders."""

from __future__ import annotations

import pytest
from data_layouts import arranged, found, listing

from prospr_engine.errors import DataError

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
    "German": "Trainingsdaten/a Trainingsdaten/b Testdaten/a Testdaten/b",
    "Spanish": """Entrenamiento/a Entrenamiento/b Validaci\u00f3n/a Validaci\u00f3n/b
        Prueba/a Prueba/b""",
    "French, decomposed": "entrai\u0302nement/a entrai\u0302nement/b test/a test/b",
    "Portuguese": "imagens_treino/a imagens_treino/b imagens_teste/a imagens_teste/b",
    "Russian": """обучающая_выборка/a обучающая_выборка/b
        тестовая_выборка/a тестовая_выборка/b""",
    "Chinese": "训练集/a 训练集/b 测试集/a 测试集/b",
    "Japanese": "訓練データ/a 訓練データ/b テストデータ/a テストデータ/b",
    "Korean": "훈련/a 훈련/b 테스트/a 테스트/b",
    "hold-out": "train/a train/b Hold-Out/a Hold-Out/b",
    "features": "Xtrain/a Xtrain/b Xtest/a Xtest/b",
    "Tiny ImageNet": "tiny/train/a/images tiny/train/b/images tiny/val/images tiny/test/images",
    "GTSRB": "GTSRB/Final_Training/Images/a GTSRB/Final_Training/Images/b GTSRB/Final_Test/Images",
    "ILSVRC": "ILSVRC/Data/train/a ILSVRC/Data/train/b ILSVRC/Data/val ILSVRC/Annotations/val!",
}
WANTED = {
    "Spanish": {"train": 4, "validation": 4, "test": 4},
    "Tiny ImageNet": {"train": 4},
    "GTSRB": {"train": 4},
    "ILSVRC": {"train": 4},
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
        ("with_mask without_mask", "with_mask without_mask"),
        ("mask helmet images", "helmet images mask"),
        ("a/x/40X a/x/100X b/y/40X b/z/40X", "a b"),
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
        # A copy of the set, or of a part of it, within the set.
        ("yes no brain/yes brain/no", "'no' and 'yes' both beside and within 'brain'"),
        ("a b x/y/a x/y/b", "within 'x'"),
        ("set/a set/b set/set/a set/set/b tests/tests", "within 'set/set'"),
        (
            "real/training_fake real/training_real copy/real/training_fake copy/real/training_real",
            "'copy' and 'real' all contain",
        ),
        ("512/512/a 512/512/b c/c/train/a c/c/train/b c/c/test/a c/c/test/b", "all contain 'a'"),
        (
            "new/new/train/a new/new/train/b new/new/valid/a new/new/valid/b test/test",
            "'new' contains 'train' and 'valid' of its own",
        ),
        ("cat/train cat/test dog", "'cat' contains 'test' and 'train' of its own"),
        ("p1/0 p1/1 p2/0 p2/1 p3/0", "'p1' and 'p2' all contain '0' and '1'"),
        ("amazon/images/bag amazon/images/mug dslr/images/bag dslr/images/mug", "'bag' and 'mug'"),
        # Annotations in place of classes.
        ("images masks", "as sets for detection"),
        ("train/img train/mask test/img test/mask", "as sets for detection"),
        ("images/train images/val labels/train labels/val", "as sets for detection"),
        ("JPEGImages SegmentationClass", "as sets for detection"),
        # Parts without class folders.
        ("train train_masks test", "named like parts, without class folders"),
        ("train test extra", "named like parts, without class folders"),
        ("trainA trainB testA testB", "named like parts, without class folders"),
        ("DIV_train_HR DIV_train_LR/X2 DIV_valid_HR DIV_valid_LR/X2", "named like parts"),
        ("labeled/a labeled/b unlabeled", "Give 'labeled' alone"),
    ],
)
def test_what_is_unclear_is_refused(text, sentence) -> None:
    with pytest.raises(DataError, match=sentence):
        arranged(*listing(text))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Cat cat dog", "The classes 'Cat' and 'cat' differ in letter case"),
        ("A. A b", "The classes 'A' and 'A.' differ in letter case, spaces or dots"),
        ("images_001 images_002 images_010", "differ in numbers only"),
        ("HAM_images_part_1 HAM_images_part_2", "differ in numbers only"),
        ("lung/lung_aca lung/lung_n colon/colon_aca colon/colon_n", "not classes of their own"),
    ],
)
def test_what_may_not_be_meant_is_noted(text, sentence) -> None:
    assert any(sentence in note for note in arranged(*listing(text)).notes)


@pytest.mark.parametrize("text", ["class_1 class_2", "cat dog/deeper", "0 1 2", "a b"])
def test_what_is_clear_is_not_noted(text) -> None:
    assert arranged(*listing(text)).notes == ()


def test_annotations_beside_the_images_do_no_harm() -> None:  # as in Caltech-101
    files = listing("set/101_ObjectCategories/ant set/101_ObjectCategories/bee")
    layout = arranged(*files, "set/Annotations/ant/1.mat")
    assert layout.classes == ("ant", "bee")
