"""Whether a file is faster: figures and words from what was timed, and the timing itself."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import prospr_engine as pe
from prospr_engine.errors import Stopped
from prospr_engine.export import latency, timing
from prospr_engine.export.latency import REFERENCE, SWITCH, Latency, measure, of_seconds
from prospr_engine.pipeline.record import RunRecord

DENSE = [0.010, 0.012, 0.011, 0.010, 0.020]


@pytest.fixture
def switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SWITCH)


def test_ratios_are_those_within_a_turn():
    half = [each / 2 for each in DENSE]  # twice as fast in every turn, also in the slow one
    found = of_seconds({1: {REFERENCE: DENSE, "compact": half}})
    reference, compact = found.timings
    assert reference.median_ms == pytest.approx(11)
    assert (reference.low_ms, reference.high_ms) == (pytest.approx(10), pytest.approx(12))
    assert compact.median_ms == pytest.approx(5.5)
    assert compact.speedup == compact.low_speedup == compact.high_speedup == pytest.approx(2)
    assert compact.turns == 5
    assert found.milliseconds("compact") == compact.median_ms
    assert found.milliseconds("compact", 32) is found.milliseconds("int8") is None
    assert Latency.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(("turns", "inside"), [(3, 3), (6, 6), (9, 7), (20, 10), (100, 22)])
def test_the_interval_is_that_of_the_median(turns: int, inside: int):
    """As in tables of order statistics: of 100, the 40th to the 61st."""
    ratios = [1 + number / 100 for number in range(turns)]
    seconds = {REFERENCE: [1.0] * turns, "dense": [1 / ratio for ratio in ratios]}
    found = of_seconds({1: seconds}).timings[1]
    between = [
        r for r in ratios if found.low_speedup <= r + 1e-9 and r - 1e-9 <= found.high_speedup
    ]
    assert len(between) == inside


@pytest.mark.parametrize(
    ("ratios", "words"),
    [
        ({1: [1.9] * 5}, "1.9 times faster at batch 1"),
        ({1: [0.5] * 5}, "2.0 times slower at batch 1"),
        ({1: [0.8, 0.9, 1.1, 1.3, 1.2]}, "no faster: within the noise"),
        ({1: [1.04] * 5, 32: [1.0] * 5}, "no faster: within the noise"),
        (
            {1: [1.01] * 5, 32: [3.0] * 5},
            "no faster at batch 1 (within the noise), 3.0 times faster at batch 32",
        ),
    ],
)
def test_the_verdict(ratios: dict[int, list[float]], words: str):
    found = of_seconds(
        {
            batch: {
                REFERENCE: DENSE,
                "dense": [d / r for d, r in zip(DENSE, each, strict=True)],
            }
            for batch, each in ratios.items()
        }
    )
    assert found.verdicts == {"dense": words}


def multiplying(path: Path, times: int) -> Path:
    """A file that multiplies a 64 × 64 matrix by itself so often."""
    name, nodes = "input", []
    for number in range(times):
        nodes.append(helper.make_node("MatMul", [name, "input"], [f"x{number}"]))
        name = f"x{number}"
    kind = helper.make_tensor_value_info
    shape = ["batch", 64, 64]
    graph = helper.make_graph(
        [*nodes, helper.make_node("Identity", [name], ["logits"])],
        "g",
        [kind("input", TensorProto.FLOAT, shape)],
        [kind("logits", TensorProto.FLOAT, shape)],
    )
    opset = helper.make_opsetid("", 20)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)
    return path


def test_what_computes_more_takes_longer(switched_on, tmp_path: Path):
    files = {
        REFERENCE: multiplying(tmp_path / "long.onnx", 20),
        "dense": multiplying(tmp_path / "short.onnx", 2),
        "compact": multiplying(tmp_path / "same.onnx", 20),
    }
    found = measure(files, (64, 64))
    assert found.reason == ""
    assert found.threads == 1
    speed = {t.file: t.speedup for t in found.timings if t.batch == 1}
    assert 3 < speed["dense"] < 30  # ten times, on a machine with nothing else to do
    assert 0.5 < speed["compact"] < 2
    assert "faster at batch 1" in found.verdicts["dense"]


def test_what_takes_too_long_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(timing, "MOST", 0.0)
    files = {REFERENCE: str(multiplying(tmp_path / "a.onnx", 2))}
    request = {"files": files, "shape": [64, 64], "batches": [1, 32], "threads": 1}
    answer = timing.answer(request)
    assert answer == {"seconds": {}, "reason": "Batches of 1, 32 take too long to be timed."}


def test_a_batch_that_would_take_minutes_is_not_begun(monkeypatch, tmp_path: Path):
    begun = []

    def turn(sessions, inputs, now, number):
        begun.append(len(inputs))
        return dict.fromkeys(sessions, 0.5 * len(inputs))

    monkeypatch.setattr(timing, "_turn", turn)
    files = {REFERENCE: str(multiplying(tmp_path / "a.onnx", 2))}
    answer = timing.answer({"files": files, "shape": [4, 4], "batches": [1, 32], "threads": 1})
    assert set(begun) == set(answer["seconds"]) == {1}
    assert answer["reason"] == "Batches of 32 take too long to be timed."


@pytest.mark.parametrize("output", ["", "no JSON", "[]", "{}", '{"seconds": {"1": 2}}'])
def test_a_process_that_ends_early_gives_a_reason(
    switched_on, monkeypatch: pytest.MonkeyPatch, output: str
):
    monkeypatch.setattr(latency, "COMMAND", (sys.executable, "-c", f"print({output!r})"))
    found = measure({REFERENCE: Path("a.onnx")}, (3, 8, 8))
    assert found == Latency(reason="The process that times the files ended early.")


def test_a_process_that_does_not_end_is_ended(switched_on, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(latency, "COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    monkeypatch.setattr(latency, "PATIENCE", 0.0)
    found = measure({REFERENCE: Path("a.onnx")}, (3, 8, 8))
    assert found == Latency(reason="Timing the files took too long.")


def test_it_can_be_stopped(switched_on, monkeypatch: pytest.MonkeyPatch):
    def stop() -> None:
        raise Stopped("The run was stopped.")

    monkeypatch.setattr(latency, "COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
    with pytest.raises(Stopped):
        measure({REFERENCE: Path("a.onnx")}, (3, 8, 8), stop)


def test_it_can_be_switched_off():
    found = measure({REFERENCE: Path("a.onnx")}, (3, 8, 8))
    assert found == Latency(reason="Timing is switched off (PROSPR_TIMING is 0).")


@pytest.mark.parametrize("kind", ["weights", "channels"])
def test_a_run_times_every_file(switched_on, kind: str, tmp_path: Path):
    config = pe.RunConfig(
        model="mlp",
        method="magnitude",
        kind=kind,
        sparsity=0.5,
        epochs=0,
        encodings=("dense", "compact", "int8"),
        loading=pe.LoadingConfig(train_limit=100, test_limit=50),
    )
    result = pe.run(config, out=tmp_path)
    record = RunRecord.read(tmp_path / "result.json")
    assert record.latency == result.latency
    assert set(result.latency.verdicts) == {"dense", "compact", "int8"}
    assert {timing.batch for timing in result.latency.timings} == {1, 32}
    for name, export in record.exports.items():
        assert export.latency_ms == result.latency.milliseconds(name) > 0


def test_what_cannot_be_timed_does_not_fail_the_run(
    switched_on, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(latency, "COMMAND", (sys.executable, "-c", "raise SystemExit(1)"))
    config = pe.RunConfig(model="mlp", method="magnitude", epochs=0)
    result = pe.run(config, out=tmp_path)
    assert result.latency.reason == "The process that times the files ended early."
    assert [export.latency_ms for export in result.exports.values()] == [None, None]
