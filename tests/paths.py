"""Where things lie, for tests and for the processes that they start."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
"""Larger reference material beside the repository, where there is any."""
GOLDEN = ROOT / "tests" / "data" / "golden"
"""What the criteria's published code says."""
