"""The name of a run's result file."""

from __future__ import annotations

RESULT = "result.json"
