"""What this process collected."""

import pytest

COLLECTED = pytest.StashKey[list[str]]()
"""The ids of all tests that were found, before ``-m`` and ``-k`` leave some out."""
