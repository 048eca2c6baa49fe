"""A run with ONNX files in two encodings."""

from __future__ import annotations

from app_fakes import RESULT, finished, words
from app_run import opened
from half_encoding import registered

from prospr_engine.store.store import Store

HALF = RESULT["onnx"] | {"path": "model-half.onnx", "bytes": 130_000}


def test_both_files_are_offered_and_proven(store: Store):
    with registered():
        exports = {"dense": RESULT["onnx"], "half": HALF}
        run = finished(store, files={"model-half.onnx": b"half"}, format=1, exports=exports)
        at = opened(run)
        downloads = [button.proto.label for button in at.get("download_button")][:2]
        assert downloads[0].startswith("Download model.onnx (254")
        assert downloads[1].startswith("Download model-half.onnx (130")
        assert not any(button.proto.disabled for button in at.get("download_button")[:2])
        headings = [line for line in words(at).splitlines() if "passed all checks" in line]
        assert [line.split(": ")[1] for line in headings] == ["Dense, 32 bit", "Dense, 16 bit"]


def test_a_file_in_an_encoding_of_another_version_is_offered_by_its_name(store: Store):
    exports = {"dense": RESULT["onnx"], "half": HALF}
    run = finished(store, files={"model-half.onnx": b"half"}, format=1, exports=exports)
    at = opened(run)
    assert "passed all checks: half" in words(at)
    assert not at.error


def test_a_file_that_is_gone_is_not_offered(store: Store):
    run = finished(store, format=1, exports={"dense": RESULT["onnx"], "half": HALF})
    at = opened(run)
    first, second = at.get("download_button")[:2]
    assert not first.proto.disabled
    assert second.proto.disabled
    assert "no longer on the server" in words(at)
