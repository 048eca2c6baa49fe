"""Sizes that are predicted from a run's scores are those of files that other runs wrote."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import prospr_engine as pe
from prospr_engine.config import LoadingConfig
from prospr_engine.errors import DataError
from prospr_engine.export.encodings import ENCODINGS, FileSize, StoredTensor
from prospr_engine.export.encodings.gaps import coded_counts, gap_coded
from prospr_engine.pipeline.size_curve import SPARSITIES, SizeModel, Sizes, break_even
from prospr_engine.pruning.ranking import Ranking

CASES = {
    "small_cnn": (0.9, (0.5, 0.8, 0.97), tuple(ENCODINGS)),
    "resnet20": (0.8, (0.95,), ("dense", "compact", "compact-fp16", "native-sparse")),
}


def run(folder: Path, model: str, sparsity: float, encodings: tuple[str, ...]) -> dict[str, int]:
    """Bytes of the files of a run with prospr, by encoding."""
    config = pe.RunConfig(
        model=model,
        sparsity=sparsity,
        epochs=1,
        encodings=encodings,
        loading=LoadingConfig(train_limit=200, test_limit=40),
    )
    pe.run(config, out=folder)
    exports = json.loads((folder / "result.json").read_text())["exports"]
    assert set(exports) == set(encodings)
    return {name: export["bytes"] for name, export in exports.items()}


def model_of(folder: Path, sparsity: float, written: dict[str, int]) -> SizeModel:
    ranking = Ranking.load(folder / "scores.safetensors")
    return SizeModel.of(ranking, folder / "pruned.safetensors", ranking.cut(sparsity), written)


@pytest.fixture(
    scope="module", params=["small_cnn", pytest.param("resnet20", marks=pytest.mark.slow)]
)
def case(request, tmp_path_factory):
    """The folder of a run, its sparsity, its files, and those of runs at other sparsities."""
    own, others, encodings = CASES[request.param]
    folder = tmp_path_factory.mktemp("sizes")
    written = run(folder / "own", request.param, own, encodings)
    found = {at: run(folder / str(at), request.param, at, encodings) for at in others}
    return folder / "own", own, written, found


def test_every_prediction_is_within_two_percent_of_the_file(case):
    folder, own, written, others = case
    model = model_of(folder, own, written)
    assert model.at(model.ranking.cut(own)).bytes.items() >= written.items()  # to the byte
    for sparsity, files in others.items():
        found = model.at(model.ranking.cut(sparsity)).bytes
        for encoding, bytes in files.items():
            assert found[encoding] == pytest.approx(bytes, rel=0.02), (sparsity, encoding)


def test_a_file_is_predicted_without_one_of_its_kind(case):
    folder, own, written, others = case
    model = model_of(folder, own, {"dense": written["dense"]})
    for sparsity, files in others.items():
        found = model.at(model.ranking.cut(sparsity)).bytes
        for encoding, bytes in files.items():
            assert found[encoding] == pytest.approx(bytes, rel=0.02), (sparsity, encoding)


def test_the_curve_falls_where_zeros_take_no_space(case):
    folder, own, written, _ = case
    curve = model_of(folder, own, written).curve()
    assert [sizes.sparsity for sizes in curve] == list(SPARSITIES)
    for encoding in ("compact", "compact-fp16", "native-sparse"):
        sizes = [point.bytes[encoding] for point in curve]
        assert sizes == sorted(sizes, reverse=True)
    assert len({point.bytes["dense"] for point in curve}) == 1
    # A bit for every weight is saved where one in 32 is gone.
    assert 0.0 <= (break_even(curve, "compact") or 0.0) < 0.1
    assert break_even(curve, "compact-fp16") == 0.0
    assert break_even(curve, "dense") is None


def test_settings_of_layers_leave_out_what_they_do_not_allow(case):
    folder, own, written, _ = case
    model = model_of(folder, own, written)
    first = model.ranking.layers[-1].name
    curve = model.curve(0, {first: "dense"})
    assert 0 < len(curve) < len(SPARSITIES)


def test_files_that_do_not_belong_together_are_refused(case, tmp_path):
    folder, own, written, _ = case
    with pytest.raises(DataError, match="cannot be predicted"):
        model_of(folder, own, {"dense": written["dense"] // 2})
    ranking = Ranking.load(folder / "scores.safetensors")
    with pytest.raises(DataError, match="no file"):
        SizeModel.of(ranking, tmp_path / "x", ranking.cut(own), written)


def points(*bytes: int) -> list[Sizes]:
    """A curve of ``bytes`` at even steps, against a dense file of 100."""
    return [Sizes(i / 10, {"dense": 100, "x": size}) for i, size in enumerate(bytes)]


def test_the_break_even_lies_on_the_line_between_two_points():
    assert break_even(points(140, 120, 80, 10), "x") == pytest.approx(0.15)
    assert break_even(points(100, 50), "x") == pytest.approx(0.0)
    assert break_even(points(90, 80), "x") == 0.0
    assert break_even(points(120, 100), "x") is None
    assert break_even(points(90, 110, 90), "x") == pytest.approx(0.15)  # smaller from there on
    assert break_even([], "x") is None


@pytest.mark.parametrize("density", [0.5, 0.1, 0.002])
def test_the_counts_of_gaps_are_those_of_the_code(density):
    places = np.flatnonzero(np.random.default_rng(0).random(50_000) < density)
    counts = coded_counts(places)
    coded, _, width = gap_coded(places, 4)
    assert counts[width - 1] == len(coded)
    assert counts[-1] == len(places)
    assert list(counts) == sorted(counts, reverse=True)


def test_other_tensors_are_not_rounded_to_eight_bits():
    size, rest = ENCODINGS["int8"].load_sizer(), FileSize(1000, 500)
    bias = StoredTensor(100, 100, weight=False)
    assert size([bias], rest).bytes == 1400
    assert size([dataclasses.replace(bias, normalises=True)], rest).bytes < 1000  # folded
