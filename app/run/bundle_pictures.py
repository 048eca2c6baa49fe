"""The charts of a finished run as pictures, for its bundle."""

from __future__ import annotations

from collections.abc import Mapping

from app.charts import file_sizes, layers, training, widths
from app.charts.colours import LIGHT
from app.charts.image_file import picture
from app.services import ENCODINGS, EngineError, Run, RunRecord, scores, sizes
from app.ui import titles

Point = tuple[float, Mapping[str, int]]


def charts(run: Run, result: RunRecord) -> dict[str, bytes]:
    """PNG files by name."""
    source = titles.of(run)
    rows = layers.table(result.pruning.layers)
    found = {
        "weights-kept.png": picture(
            layers.chart(len(rows), LIGHT), rows, "png", "Weights kept in each layer", source
        )
    }
    if structure := result.pruning.structure:
        spec = widths.chart(len(structure.widths), LIGHT)
        before_after = widths.table(structure.widths)
        title = "Channels kept in each layer"
        found["channels-kept.png"] = picture(spec, before_after, "png", title, source)
    if predicted := _sizes(run, result):
        labels = {name: row.label for name, row in ENCODINGS.items()}
        spec = file_sizes.chart(tuple(labels.values()), LIGHT)
        sizes_table = file_sizes.table(*predicted, labels)
        found["file-size.png"] = picture(spec, sizes_table, "png", "File size", source)
    if result.history:
        epochs = training.table(result.history)
        for shown, measure in training.MEASURES.items():
            spec = training.chart(result.config.epochs, measure)
            title = f"{shown} during training"
            name = f"training-{shown.lower()}.png"
            found[name] = picture(spec, epochs, "png", title, source)
    return found


def _sizes(run: Run, result: RunRecord) -> tuple[list[Point], Point] | None:
    """The curve of file sizes and the run's own point; None if there are none."""
    try:
        ranking, config = scores.ranking(run), run.config
        if ranking.target is not None or result.pruning.structure:
            return None
        cut = ranking.cut(config.sparsity, config.layer_floor, config.layers)
        curve, here = sizes.curve(run, result), sizes.at(run, result, cut)
    except EngineError:
        return None
    return [(point.sparsity, point.bytes) for point in curve], (here.sparsity, here.bytes)
