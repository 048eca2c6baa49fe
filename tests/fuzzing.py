"""Tests of readers and guards with damaged or arbitrary input: ``make fuzz`` tries many more."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

TIMES = int(os.environ.get("FUZZ", "1"))
"""How many times as many examples as usual."""


def fuzzed(examples: int, **others: Any) -> Callable[[Any], Any]:
    """Try so many examples of a property of hypothesis, without a limit on the time of each. What
    fails is kept as an ``@example`` beside the mended code."""
    usual = settings(max_examples=TIMES * examples, deadline=None, **others)
    return lambda test: pytest.mark.fuzz(usual(test))
