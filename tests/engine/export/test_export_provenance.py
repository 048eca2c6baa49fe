"""The parts of the record that must never change, or old files could not be verified."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from prospr_engine.errors import ExportError
from prospr_engine.export import runtime
from prospr_engine.export.encodings import ENCODINGS, Tolerance
from prospr_engine.export.provenance import bits_digest, reference_input, weights_digest


def lowbias32(i):
    """The published hash in plain integers."""
    i ^= i >> 16
    i = i * 0x7FEB352D % 2**32
    i ^= i >> 15
    i = i * 0x846CA68B % 2**32
    return i ^ (i >> 16)


def test_reference_input_follows_its_formula_exactly():
    found = reference_input(2, (3, 5, 7))
    assert found.shape == (2, 3, 5, 7)
    assert found.dtype == np.float32
    wanted = [(lowbias32(i) >> 8) / 2**22 - 2 for i in range(found.size)]
    assert found.ravel().tolist() == wanted


def test_reference_input_looks_like_noise():
    values = reference_input(5, (3, 32, 32))
    assert -2 <= values.min() < -1.99
    assert 1.99 < values.max() < 2
    assert abs(values.mean()) < 0.05
    assert abs(np.corrcoef(values.ravel()[1:], values.ravel()[:-1])[0, 1]) < 0.05
    np.testing.assert_array_equal(values[:1], reference_input(1, (3, 32, 32)))


def test_digests_stand_still():
    bits = np.array([[True, False, True], [False, False, True]])
    wanted = hashlib.sha256(b"2,3;" + bytes([0b10100100])).hexdigest()
    assert bits_digest(bits) == wanted
    assert bits_digest(bits) != bits_digest(bits.T)
    assert bits_digest(np.asfortranarray(bits)) == wanted


def test_weights_digest_sees_names_shapes_types_and_order_of_nothing():
    a, b = np.zeros((2, 3), np.float32), np.ones(2, np.int64)
    digest = weights_digest({"a": a, "b": b})
    assert digest == weights_digest({"b": b, "a": a})
    others = [
        {"a": a.reshape(3, 2), "b": b},
        {"a": -a, "b": b},
        {"a": a, "c": b},
        {"a": a, "b": b.astype(np.uint64)},
    ]
    assert len({digest, *map(weights_digest, others)}) == 5


def agrees(expected: list[np.ndarray], found: np.ndarray) -> bool:
    return runtime.compare(expected, [found], ENCODINGS["dense"].tolerance).ok


def test_the_tolerance_follows_the_logits():
    logits = [np.array([[3.0, -50.0], [1.0, 2.0]])]
    assert agrees(logits, logits[0] + 0.004)
    assert not agrees(logits, logits[0] + 0.006)
    # All zero (a network emptied by pruning) is a tie in every image, not a disagreement.
    nothing = [np.zeros((2, 2))]
    assert agrees(nothing, np.array([[0.0, 1e-7], [0.0, 0.0]]))
    assert not agrees(nothing, np.array([[0.0, 1e-5], [0.0, 0.0]]))
    with pytest.raises(ExportError, match="shape"):
        agrees(logits, np.zeros((2, 3)))


def test_each_encoding_has_its_own_tolerance():
    logits = [np.array([[3.0, -50.0], [1.0, 2.0]])]
    found = runtime.compare(logits, [logits[0] + 0.4], Tolerance(relative=0.01, absolute=0.1))
    assert found.ok
    assert found.tolerance == pytest.approx(0.01 * 50 + 0.1)
    assert not found.tiny
    assert runtime.compare([logits[0] / 100], logits, Tolerance(0.01, 0.1)).tiny


def test_logits_that_are_no_numbers_never_agree():
    logits = [np.array([[3.0, 5.0]])]
    assert not agrees(logits, np.array([[np.nan, 5.0]]))
    assert not agrees(logits, np.array([[np.inf, 5.0]]))
