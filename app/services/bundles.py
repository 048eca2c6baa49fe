"""Everything of a run in one zip, and the tables in it."""

from __future__ import annotations

from prospr_engine.pipeline.tables import layers_csv, training_csv

__all__ = ["layers_csv", "training_csv"]
