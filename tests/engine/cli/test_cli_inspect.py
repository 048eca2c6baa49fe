"""The command that looks at data before a run."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from prospr_engine.cli.main import main


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """12 cats and 60 dogs of two sizes, one of them broken, and a text."""
    random = np.random.default_rng(0)
    for name, count in (("cat", 12), ("dog", 60)):
        folder = tmp_path / "pets" / name
        folder.mkdir(parents=True)
        for number in range(count):
            shape = (8, 8 if number else 12, 3)
            stream = io.BytesIO()
            Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(stream, "PNG")
            (folder / f"{number}.png").write_bytes(stream.getvalue())
    (tmp_path / "pets/cat/5.png").write_bytes(b"junk")
    (tmp_path / "pets/notes.txt").write_text("hello")
    return tmp_path / "pets"


def test_everything_stands_in_json(pets: Path, capsys) -> None:
    assert main(["inspect", str(pets), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classes"] == [{"name": "cat", "train": 12}, {"name": "dog", "train": 60}]
    assert (found["class_count"], found["images"]) == (2, {"train": 72})
    assert found["sizes"] == {
        "count": 2, "common": [8, 8], "common_share": 69 / 71, "smallest": [8, 8],
        "largest": [12, 8],
    }  # fmt: skip
    assert (found["looked_at"], len(found["broken"])) == (72, 1)
    (warning,) = found["warnings"]
    assert "(5 : 1)" in warning
    assert "Skipped: 1 file of other types (.txt)." in found["notes"]


def test_a_person_reads_a_table(pets: Path, capsys) -> None:
    assert main(["inspect", str(pets)]) == 0
    out = capsys.readouterr().out
    for words in (
        "72 training, in 2 classes",
        "2 sizes, from 8 × 8 to 12 × 8 pixels",
        "cat",
        "! The classes are uneven",
        "1 of 72 images checked cannot be read: cat/5.png",
    ):
        assert words in out, out


def test_200_classes_stay_readable(tmp_path: Path, capsys) -> None:
    np.savez(tmp_path / "many.npz", x=np.zeros((1000, 4, 4), np.uint8), y=np.arange(1000) % 200)
    assert main(["inspect", str(tmp_path / "many.npz")]) == 0
    out = capsys.readouterr().out
    assert "200 classes" in out
    assert "… 176 more" in out
    assert len(out.splitlines()) < 40


def test_a_known_set_is_described_without_a_download(capsys) -> None:
    assert main(["inspect", "mnist", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["class_count"]) == ({"train": 60_000, "test": 10_000}, 10)


def test_nothing_there_is_a_sentence(capsys) -> None:
    assert main(["inspect", "nowhere/at/all"]) == 2
    assert "There is no file or folder" in capsys.readouterr().err
