"""A run with ONNX files in two encodings."""

from __future__ import annotations

from app_compare_frames import cell, frame
from app_fakes import RESULT, finished, new, words
from app_run import offered, opened, part
from half_encoding import registered
from half_encoding import size as half_size

from app.compare import table
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.format import size
from prospr_engine.models.measures import known
from prospr_engine.pipeline.remainder import tensors_of
from prospr_engine.store.store import Store

HALF = RESULT["onnx"] | {"path": "model-half.onnx", "bytes": 130_000}


def test_both_files_are_offered_and_proven(store: Store):
    with registered():
        exports = {"dense": RESULT["onnx"], "half": HALF}
        run = finished(store, files={"model-half.onnx": b"half"}, format=1, exports=exports)
        at = opened(run)
        assert list(offered(at))[:2] == ["model.onnx", "model-half.onnx"]
        (table,) = (e.proto.body for e in at.get("html") if "<table" in e.proto.body)
        assert [row.split("<")[0] for row in table.split('data-label="Size">')[1:3]] == [
            size(254_422),
            size(130_000),
        ]
        written = words(part(at, "Checks"))
        headings = [line for line in written.splitlines() if "passed all checks" in line]
        assert [line.split(": ")[1] for line in headings] == ["Dense, 32 bit", "Dense, 16 bit"]


def test_a_file_in_an_encoding_of_another_version_is_offered_by_its_name(store: Store):
    exports = {"dense": RESULT["onnx"], "half": HALF}
    run = finished(store, files={"model-half.onnx": b"half"}, format=1, exports=exports)
    at = opened(run)
    assert "passed all checks: half" in words(part(at, "Checks"))
    assert not at.error


def test_a_file_that_is_gone_is_not_offered(store: Store):
    run = finished(store, format=1, exports={"dense": RESULT["onnx"], "half": HALF})
    at = opened(run)
    assert "model.onnx" in offered(at)
    assert "model-half.onnx" not in offered(at)
    assert "no longer on the server" in words(at)


def test_the_forecast_has_a_size_for_each(store: Store):
    with registered():
        at = new()
        at.query_params["encodings"] = [row.label for row in ENCODINGS.values()]
        at.run()
        shown = {each.label: (each.value, each.delta) for each in at.metric}
    measure = known("small_cnn", 1, 8, 10)
    assert measure
    file = half_size(*tensors_of(measure, 0.1))
    assert shown["File"][0] == size(254_000)
    assert shown["File (dense, 16 bit)"][0] == size(file.bytes)
    assert shown["File"][1] != shown["File (dense, 16 bit)"][1]


def test_the_table_of_compare_has_a_column_for_each(store: Store):
    with registered():
        cells = [cell("snip", 0.9, 0, 0.9, zipped_bytes_half=1700, file_bytes_half=22_000)]
        shown = table._table("a key of this test", frame(cells))
    assert list(shown["Zipped file (dense, 16 bit)"]) == [1.7]
    assert list(shown["Zipped file"]) == [6.0]
