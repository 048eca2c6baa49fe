"""The charts of a finished run as pictures, for its bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prospr_engine.errors import EngineError
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.format import counted
from prospr_engine.guard import limits
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.pipeline.size_curve import SizeModel, Sizes
from prospr_engine.pruning.ranking import Ranking
from prospr_engine.report.charts import file_sizes, layers, training, widths
from prospr_engine.report.charts.colours import LIGHT
from prospr_engine.report.charts.image_file import picture
from prospr_engine.report.model_card import criterion, title

SCORES, NETWORK = "scores.safetensors", "pruned.safetensors"


def pictures(record: RunRecord, files: Mapping[str, Path]) -> dict[str, bytes]:
    """PNG files by name. The chart of file sizes needs the scores among the ``files`` of the run;
    it is left out where they are gone, too many to be ranked here (the limit
    ``explored_scores``), or say nothing about other sparsities."""
    source = _source(record)
    rows = layers.table(record.pruning.layers)
    found = {
        "weights-kept.png": picture(
            layers.chart(len(rows), LIGHT), rows, "png", "Weights kept in each layer", source
        )
    }
    if structure := record.pruning.structure:
        spec = widths.chart(len(structure.widths), LIGHT)
        before_after = widths.table(structure.widths)
        heading = "Channels kept in each layer"
        found["channels-kept.png"] = picture(spec, before_after, "png", heading, source)
    if predicted := _sizes(record, files):
        curve, here = ([(point.sparsity, point.bytes) for point in part] for part in predicted)
        labels = {name: row.label for name, row in ENCODINGS.items()}
        spec = file_sizes.chart(tuple(labels.values()), LIGHT)
        table = file_sizes.table(curve, here[0], labels)
        found["file-size.png"] = picture(spec, table, "png", "File size", source)
    if record.history:
        epochs = training.table(record.history)
        for shown, measure in training.MEASURES.items():
            spec = training.chart(record.config.epochs, measure)
            heading = f"{shown} during training"
            name = f"training-{shown.lower()}.png"
            found[name] = picture(spec, epochs, "png", heading, source)
    return found


def _source(record: RunRecord) -> str:
    config = record.config
    parts = (criterion(config), counted(config.epochs, "epoch"), f"seed {config.seed}")
    return " · ".join([title(record), *parts])


def _sizes(
    record: RunRecord, files: Mapping[str, Path]
) -> tuple[tuple[Sizes, ...], tuple[Sizes]] | None:
    """The curve of file sizes and the run's own point; None if there are none."""
    scores, network, config = files.get(SCORES), files.get(NETWORK), record.config
    if record.pruning.structure or scores is None or network is None:
        return None
    try:
        if scores.stat().st_size > limits.EXPLORED_SCORES.value:
            return None
        ranking = Ranking.load(scores)
        if ranking.target is not None:
            return None
        own = ranking.cut(config.sparsity, config.layer_floor, config.layers)
        written = {name: export.bytes for name, export in record.exports.items()}
        model = SizeModel.of(ranking, network, own, written)
        return model.curve(config.layer_floor, config.layers), (model.at(own),)
    except (EngineError, OSError):
        return None
