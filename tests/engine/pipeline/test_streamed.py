"""A run on images that do not fit in memory gives what it gives if they do."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import prospr_engine as pe
from prospr_engine.data import memory
from prospr_engine.errors import DataError, Stopped
from prospr_engine.events import Event, StageStarted
from prospr_engine.pipeline.calibration import images_of_run
from prospr_engine.pipeline.checkpoint import load_network

CLOCKS = {"seconds", "seconds_of", "out", "latency", "latency_ms", "path"}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Two classes that differ in colour, and in which of two sizes is more frequent."""
    folder = tmp_path_factory.mktemp("photographs")
    random = np.random.default_rng(0)
    for number in range(160):
        own = number % 2
        coarse = random.integers(0, 200, (4, 4, 3), dtype=np.uint8)
        coarse[..., own] += 50
        picture = Image.fromarray(coarse).resize((24 + 8 * own, 24), Image.Resampling.BICUBIC)
        place = folder / ("green" if own else "red") / f"{number}.jpg"
        place.parent.mkdir(exist_ok=True)
        stream = io.BytesIO()
        picture.save(stream, "JPEG")
        place.write_bytes(stream.getvalue())
    return folder


def config(photographs: Path, **changes) -> pe.RunConfig:
    values = {
        "model": "lenet5", "data": str(photographs), "epochs": 2, "device": "cpu",
        "encodings": ("compact", "int8"), "scoring": pe.ScoringConfig(batches=2, batch_size=32),
    }  # fmt: skip
    return pe.RunConfig(**{**values, **changes})


def without_clocks(value):
    if isinstance(value, dict):
        return {key: without_clocks(own) for key, own in value.items() if key not in CLOCKS}
    return [without_clocks(own) for own in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def both(photographs, tmp_path_factory) -> tuple[Path, Path]:
    """The folders of the same run, with the images in memory and not."""
    whole, streamed = (tmp_path_factory.mktemp(name) / "run" for name in ("whole", "streamed"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PROSPR_TIMING", "0")
        pe.run(config(photographs), out=whole)
        patch.setattr(memory, "room", lambda: 0)
        pe.run(config(photographs), out=streamed)
    return whole, streamed


def test_every_file_is_the_same(both) -> None:
    whole, streamed = both
    names = {file.name for file in whole.iterdir()}
    assert names == {file.name for file in streamed.iterdir()}
    assert "model-int8.onnx" in names
    for name in names - {"result.json"}:
        assert (whole / name).read_bytes() == (streamed / name).read_bytes(), name


def test_the_result_is_the_same_but_for_a_note(both) -> None:
    one, other = (json.loads((folder / "result.json").read_text()) for folder in both)
    assert one["accuracy"]["dense"] > 0.8  # two classes: chance is 0.5
    *notes, last = other["data"].pop("notes")
    assert notes == one["data"].pop("notes")
    assert "decoded again whenever it is needed" in last
    assert without_clocks(one) == without_clocks(other)


def test_a_later_encoding_is_calibrated_on_the_same_images(both, monkeypatch) -> None:
    _, label = load_network(both[0] / "pruned.safetensors")
    whole = images_of_run(both[0], label)
    monkeypatch.setattr(memory, "room", lambda: 0)
    for one, other in zip(whole, images_of_run(both[1], label), strict=True):
        assert np.array_equal(one.numpy(), other.numpy())


def test_an_image_that_changes_during_the_run_ends_it(photographs, tmp_path, monkeypatch) -> None:
    copied = tmp_path / "copied"
    for file in photographs.glob("*/*.jpg"):
        (copied / file.parent.name).mkdir(parents=True, exist_ok=True)
        (copied / file.parent.name / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr(memory, "room", lambda: 0)

    def meddle(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "train":
            for file in copied.glob("green/*"):
                file.unlink()

    with pytest.raises(DataError, match=r"green/\d+\.jpg of copied can no longer be read"):
        pe.run(config(copied), meddle, out=tmp_path / "run")
    assert (tmp_path / "run" / "scores.safetensors").exists()


def test_it_can_be_stopped_in_an_epoch(photographs, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "room", lambda: 0)
    began = []

    def hear(event: Event) -> None:
        if isinstance(event, StageStarted) and event.stage == "train":
            began.append(event)

    with pytest.raises(Stopped):
        pe.run(config(photographs), hear, lambda: bool(began), out=tmp_path / "run")
    assert len(began) == 1
