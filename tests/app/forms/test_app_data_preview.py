"""Every format that may be uploaded, and what the form shows of it."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from app_fakes import words
from PIL import Image
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

from app.services import runs, uploads
from prospr_engine.config import RunConfig
from prospr_engine.store.store import Store

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x_train=PIXELS, y_train=np.arange(40) % 2, class_names=["cat", "dog"])
    return stream.getvalue()


def parquet() -> bytes:
    def png(pixels: np.ndarray) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    frame = pd.DataFrame({"image": [png(own) for own in PIXELS], "label": ["cat", "dog"] * 20})
    stream = io.BytesIO()
    frame.to_parquet(stream)
    return stream.getvalue()


@pytest.mark.parametrize(("make", "name"), [(npz, "Pets.NPZ"), (parquet, "pets.parquet")])
def test_an_upload_is_shown_and_can_be_learned_from(store: Store, make, name: str) -> None:
    upload = uploads.add("alice", "images", name, make())
    assert (upload.name, upload.path.suffix) == (name, f".{name.split('.')[1].lower()}")
    found = uploads.look(upload)
    assert found.counts == {"train": (20, 20)}
    assert {own: len(shown) for own, shown in found.samples.items()} == {"cat": 3, "dog": 3}
    assert uploads.facts(upload.token).channels == 3
    run = runs.start(RunConfig(data=upload.token), "alice")
    assert run.settings["data"] == upload.token
    assert uploads.without_suffix(name) == name.split(".")[0]


def shown(count: int, sizes: int) -> AppTest:
    """The preview of ``count`` classes, and images of so many sizes."""

    def script(count: int, sizes: int) -> None:
        from app.forms import data_preview
        from app.services.uploads import Preview
        from prospr_engine.data.inspect import Facts
        from prospr_engine.data.preview import Sizes

        classes = tuple(f"*class* {n}" for n in range(count))
        counts = tuple(range(10, 10 + count))
        facts = Facts("Pets", count, classes, counts, sum(counts), None, 4, 3, None, ())
        found = Preview(
            facts,
            {"train": counts, "test": (2,) * count},
            dict.fromkeys(classes[:12], (b"",)),
            ("Skipped: 3 links.",),
            9,
            ("a.png (broken)",),
            ("The classes are uneven.",),
            Sizes(sizes, (8, 8), 0.5, (4, 4), (64, 32)),
        )
        data_preview.show(found, False)

    app = AppTest.from_function(script, args=(count, sizes), default_timeout=PATIENCE)
    return app.run()


def test_200_classes_are_a_table_with_bars() -> None:
    app = shown(200, 14)
    assert not app.exception
    text = words(app)
    assert "21,900 colour images in 200 classes, 400 test images." in text
    assert "14 sizes, from 4 × 4 to 64 × 32 pixels; 50" in text
    assert r"Most images\: \*class\* 199 (209)" in text
    assert [expander.label for expander in app.expander] == ["All 200 classes"]
    assert len(app.dataframe[0].value) == 200
    assert app.warning[0].value == "The classes are uneven."
    assert "1 of 9 images checked cannot be read" in app.warning[1].value


def test_few_classes_need_no_table() -> None:
    app = shown(3, 1)
    assert not app.exception
    assert not app.expander
    assert "33 colour images of 8 × 8 pixels in 3 classes, 6 test images." in words(app)
