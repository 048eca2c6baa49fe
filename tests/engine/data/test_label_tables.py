"""Images whose classes stand in a table: written by pandas and csv, as people get them."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest
from fuzzing import fuzzed
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from prospr_engine.config import LoadingConfig
from prospr_engine.data.arrange import arrange
from prospr_engine.data.decode import is_image
from prospr_engine.data.load import load
from prospr_engine.data.readers.csv_table import read_table
from prospr_engine.data.readers.tree import Tree
from prospr_engine.errors import DataError


def arranged(images: list[str], **tables: str | bytes):
    """Images of those paths beside tables; ``labels`` is labels.csv, ``train__meta`` in train."""
    content = {
        f"{name.replace('__', '/')}.csv": text.encode() if isinstance(text, str) else text
        for name, text in tables.items()
    }
    files = (*images, *content)
    return arrange(Tree("data", files, (), lambda path: io.BytesIO(content[path])), is_image)


def found(layout) -> dict[str, dict[str, str]]:
    """By part: the class of every file."""
    return {
        part: {layout.files[n]: layout.classes[layout.labels[n]] for n in numbers}
        for part, numbers in layout.parts.items()
    }


IMAGES = [f"images/{n}.png" for n in range(6)]
CLASSES = {image: "cat" if n % 2 else "dog" for n, image in enumerate(IMAGES)}


@pytest.mark.parametrize(
    "written",
    [
        lambda path: path,  # from the top
        lambda path: path.split("/")[-1],
        lambda path: path.split("/")[-1][:-4],  # without the ending
        lambda path: path.upper(),
        lambda path: path.replace("/", "\\"),
        lambda path: f"./{path}",
        lambda path: f"C:\\Users\\me\\set\\{path}",
        lambda path: f"/home/me/other/{path.split('/')[-1]}",
    ],
    ids=["path", "name", "stem", "capitals", "backslashes", "dot", "Windows", "elsewhere"],
)
@pytest.mark.parametrize("columns", [("image", "label"), ("id", "class"), ("x", "bird_species")])
def test_names_in_any_form(written, columns) -> None:
    frame = pd.DataFrame([(written(path), own) for path, own in CLASSES.items()], columns=columns)
    layout = arranged(IMAGES, labels=frame.to_csv(index=False))
    assert layout.classes == ("cat", "dog")
    assert found(layout) == {"train": CLASSES}


def test_an_index_of_pandas_and_other_columns_do_not_matter() -> None:
    frame = pd.DataFrame({"file_name": [*CLASSES], "width": 3, "label": [*CLASSES.values()]})
    assert found(arranged(IMAGES, labels=frame.to_csv())) == {"train": CLASSES}


def test_numbers_are_classes_in_their_order() -> None:
    frame = pd.DataFrame({"id": [*CLASSES], "label": [2.0, 10.0, 2.0, 10.0, 2.0, 10.0]})
    assert arranged(IMAGES, a=frame.to_csv(index=False)).classes == ("2", "10")


def test_without_a_header() -> None:
    text = "".join(f"{path} , {own}\n" for path, own in CLASSES.items())
    assert found(arranged(IMAGES, list=text)) == {"train": CLASSES}


def test_a_column_of_ones_for_each_class() -> None:
    frame = pd.DataFrame({"image": [*CLASSES], "MEL": [1.0, 0, 0] * 2, "NV": [0, 1.0, 1.0] * 2})
    layout = arranged(IMAGES, truth=frame.to_csv(index=False))
    assert [layout.classes[n] for n in layout.labels] == ["MEL", "NV", "NV"] * 2


def test_a_column_of_parts() -> None:
    frame = pd.DataFrame({"image": [*CLASSES], "label": [*CLASSES.values()],
                          "split": ["TRAIN"] * 4 + ["valid"] * 2})  # fmt: skip
    layout = arranged(IMAGES, labels=frame.to_csv(index=False))
    assert {part: len(own) for part, own in found(layout).items()} == {"train": 4, "test": 2}
    assert any("no test part" in note for note in layout.notes)


def test_parts_by_folders_and_by_tables() -> None:
    images = [f"{part}/{n}.png" for part in ("train", "test") for n in range(4)]
    labels = ["a", "b", "a", "b"]
    own = {part: pd.DataFrame({"file_name": [f"{n}.png" for n in range(4)], "label": labels})
           for part in ("train", "test")}  # fmt: skip
    expected = {
        part: {f"{part}/{n}.png": label for n, label in enumerate(labels)}
        for part in ("train", "test")
    }
    texts = {part: frame.to_csv(index=False) for part, frame in own.items()}
    # As Hugging Face's imagefolder has it, and as competitions do: the same names in both parts.
    inside = arranged(images, train__metadata=texts["train"], test__metadata=texts["test"])
    assert found(inside) == expected
    assert found(arranged(images, **texts)) == expected
    both = pd.DataFrame({"path": images, "label": labels * 2}).to_csv(index=False)
    assert found(arranged(images, labels=both)) == expected


def test_a_competition() -> None:
    """Images to classify have no label, and the example of an answer has made-up ones."""
    images = [f"train/{n}.jpg" for n in range(4)] + [f"test/{n}.jpg" for n in range(4, 9)]
    layout = arranged(
        images,
        train="id,breed\n0,pug\n1,boxer\n2,pug\n3,boxer\n",
        test="id,width\n4,1\n5,1\n6,1\n7,1\n8,1\n",
        sample_submission="id,breed\n4,pug\n5,pug\n6,boxer\n",
    )
    assert found(layout) == {"train": {f"train/{n}.jpg": ("pug", "boxer")[n % 2] for n in range(4)}}
    assert any("5 images without a label ('test/4.jpg'" in note for note in layout.notes)


def test_gaps_are_counted_and_named() -> None:
    text = "image,label\n0.png,a\n1.png,b\n2.png,a\n3.png,\n4.png,a\n4.png,b\ngone.png,a\n"
    layout = arranged(IMAGES, labels=text)
    assert found(layout) == {"train": {f"images/{n}.png": "aba"[n] for n in range(3)}}
    for words in (
        "1 label of files that are missing ('gone.png')",
        "1 row without a label",
        "1 image without a label ('images/5.png')",
        "1 image with several labels ('images/4.png': 'a' and 'b')",
        "The labels are those in column 'label' of labels.csv.",
    ):
        assert any(words in note for note in layout.notes), layout.notes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "image,width,height\n0.png,3,4\n1.png,3,4\n",
            "'image', 'width', 'height'; rename the one",
        ),
        ("image,colour,age\n0.png,red,4\n1.png,blue,4\n", "no column that is clearly"),
        ("image,label\nx.png,a\ny.png,b\n", "names none of the images, as in 'x.png' and 'a'"),
        ("image,label\n0.png,a\n1.png,a\n", "only the label 'a'"),
        ("image,label\n0.png,\n1.png,\n", "no image with a label"),
        ("image,label\n0.png,a\n0.png,b\n1.png,a\n1.png,b\n", "several labels"),
        ("image,label,split\n0.png,a,train\n1.png,b,train\n2.png,c,test\n", "'c' of data is in"),
        ('image,label\n"0.png,a\n1.png,b\n', "not a table that can be read"),
        ("", "is empty"),
        ("image,label\n0.png,a\0\n", "not a text file"),
        (",".join(map(str, range(2_001))), "2,001 columns"),
    ],
)
def test_mistakes_are_sentences(text: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        arranged(IMAGES, labels=text)
    assert words in str(error.value)


def test_a_number_for_each_image_is_no_class() -> None:
    images = [f"{n}.png" for n in range(30)]
    text = "file,target\n" + "".join(f"{n}.png,{n / 7}\n" for n in range(30))
    with pytest.raises(DataError, match="a label of its own"):
        arranged(images, labels=text)


FOLDERS = [f"{own}/{n}.png" for own in ("cat", "dog") for n in range(4)]


def test_folders_stay_the_classes_where_a_table_adds_nothing() -> None:
    same = "".join(f"{path},{path[:3]}\n" for path in FOLDERS)
    for text in (f"file,label\n{same}", "file,width\ncat/0.png,7\n", "file,label\ncat/0.png,x\n"):
        assert arranged(FOLDERS, table=text).classes == ("cat", "dog")
    odd = arranged(FOLDERS, table="file,label\ncat/0.png,x\ncat/1.png,y\n")
    assert odd.classes == ("cat", "dog")
    assert any("which labels 2 of 8 images" in note for note in odd.notes)


def test_a_table_decides_where_folders_mean_something_else() -> None:
    images = [f"part_{at}/{n}.png" for at in (1, 2) for n in range(4)]
    text = "image_id,dx\n" + "".join(
        f"{p},{'nv' if '0' in p or '1.' in p else 'mel'}\n" for p in images
    )
    layout = arranged(images, metadata=text)
    assert layout.classes == ("mel", "nv")
    assert any("folders are not the classes" in note for note in layout.notes)


def test_of_very_many_tables_a_few_are_read() -> None:
    boxes = {f"notes/{n}.csv": b"x,y\n1,2\n" for n in range(1000)}
    content = {**boxes, "labels.csv": b"id,label\n0,a\n1,b\n"}
    opened: list[str] = []

    def open_file(path: str) -> io.BytesIO:
        opened.append(path)
        return io.BytesIO(content[path])

    layout = arrange(Tree("data", (*IMAGES, *content), (), open_file), is_image)
    assert layout.classes == ("a", "b")
    assert len(opened) <= 50


def test_tables_add_what_folders_do_not_say() -> None:
    """As the German traffic signs have it: folders of classes to train on, tables for both parts,
    and one of pictograms."""
    images = [f"{own}/{n}.png" for own in ("Train/0", "Train/1") for n in range(3)]
    images += ["Test/7.png", "Test/8.png", "Meta/0.png", "Meta/1.png"]
    layout = arranged(
        images,
        Train="Width,ClassId,Path\n" + "".join(f"30,{p[6]},{p}\n" for p in images[:6]),
        Test="Width,ClassId,Path\n30,0,Test/7.png\n30,1,Test/8.png\n",
        Meta="Path,ClassId,ShapeId\nMeta/0.png,0,1\nMeta/1.png,1,1\n",
    )
    assert found(layout) == {
        "train": {path: path[6] for path in images[:6]},
        "test": {"Test/7.png": "0", "Test/8.png": "1"},
    }
    assert any("2 images without a label ('Meta/0.png'" in note for note in layout.notes)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1251", "cp932"])
def test_class_names_in_any_encoding(codec: str) -> None:
    names = {"cp1251": ("кошка", "собака"), "cp932": ("ねこ", "いぬ")}.get(
        codec, ("Käfer", "Übung")
    )
    text = "Datei;Klasse\r\n" + "".join(f"{n}.png;{names[n % 2]}\r\n" for n in range(6))
    assert {*arranged(IMAGES, labels=text.encode(codec)).classes} == {*names}


NAMES = st.text(st.characters(exclude_characters="\0\r\n", exclude_categories=["Cs"]), min_size=1,
                max_size=12).filter(lambda text: text.strip() == text)  # fmt: skip


@given(
    classes=st.lists(NAMES, min_size=2, max_size=4, unique=True),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    said=st.booleans(),
)
@fuzzed(60, suppress_health_check=[HealthCheck.too_slow])
def test_what_csv_writes_is_what_is_read(classes, separator, quoting, end, codec, said) -> None:
    rows = [(f"images/{n}.png", "9", classes[n % len(classes)]) for n in range(12)]
    stream = io.StringIO()
    if said:
        stream.write(f"sep={separator}{end}")
    writer = csv.writer(stream, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([("file_name", "width", "label"), *rows])
    table = read_table(stream.getvalue().encode(codec), "t.csv")
    assert table.columns == ("file_name", "width", "label")
    assert [*table.rows] == rows


@given(st.binary(max_size=300))
@fuzzed(150)
def test_any_bytes_are_a_table_or_a_sentence(content: bytes) -> None:
    for start in (b"", b"image,label\n0.png,a\n", b"\xff\xfe", b"\xef\xbb\xbf"):
        try:
            table = read_table(start + content, "t.csv")
        except DataError:
            continue
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_zip_with_a_table_gives_the_images_of_the_same_folders(zipped, classes) -> None:
    own = classes(count=20)
    flat = {
        f"images/{n:02}.png": content
        for n, content in enumerate(content for _, content in sorted(own.items()))
    }
    frame = pd.DataFrame({"file": [*flat], "label": [path.split("/")[0] for path in sorted(own)]})
    theirs = load(zipped(own), LoadingConfig(), seed=0)
    ours = load(zipped({**flat, "labels.tsv": frame.to_csv(sep="\t", index=False)}),
                LoadingConfig(), seed=0)  # fmt: skip
    assert ours.digest == theirs.digest
