"""The charts of a finished run as pictures, for its bundle."""

from __future__ import annotations

from app.charts import layers, training
from app.charts.colours import LIGHT
from app.charts.image_file import picture
from app.services import Run, RunRecord
from app.ui import titles


def charts(run: Run, result: RunRecord) -> dict[str, bytes]:
    """PNG files by name."""
    source = titles.of(run)
    rows = layers.table(result.pruning.layers)
    found = {
        "weights-kept.png": picture(
            layers.chart(len(rows), LIGHT), rows, "png", "Weights kept in each layer", source
        )
    }
    if result.history:
        epochs = training.table(result.history)
        for shown, measure in training.MEASURES.items():
            spec = training.chart(result.config.epochs, measure)
            title = f"{shown} during training"
            name = f"training-{shown.lower()}.png"
            found[name] = picture(spec, epochs, "png", title, source)
    return found
