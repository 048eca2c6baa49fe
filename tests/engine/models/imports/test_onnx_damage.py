"""ONNX files with bytes that were changed: imported, or refused with a sentence."""

from __future__ import annotations

import contextlib

from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from own_network import network

from prospr_engine.errors import EngineError
from prospr_engine.guard.onnx_model import check
from prospr_engine.models.imports.onnx.load import import_network

DATA = network(classes=3)


@fuzzed(150)
@given(
    st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 255)), min_size=1, max_size=3)
)
def test_a_damaged_file_is_imported_or_refused(changes: list[tuple[int, int]]):
    damaged = bytearray(DATA)
    for place, byte in changes:
        damaged[place] = byte
    with contextlib.suppress(EngineError):
        found = import_network(check(bytes(damaged), "mine.onnx"), "mine.onnx")
        assert found.classes > 0
        assert len(found.homes) > 0
