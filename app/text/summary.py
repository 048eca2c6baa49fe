"""What a run is of, in one line."""

from __future__ import annotations

from pathlib import PurePath

from app.services import DATASETS, METHODS, MODELS, RunConfig
from app.text.answer import percent
from app.text.code import EVERYDAY, changed


def summary(config: RunConfig) -> str:
    """``Small CNN · Digits · ProsPr · 90 % removed · 3 epochs · seed 0``."""
    known = list(MODELS)  # looking up others would import torchvision
    model = MODELS[config.model].label if config.model in known else config.model
    data = DATASETS.get(config.data)
    method = METHODS.get(config.method)
    more = sum(option.name not in EVERYDAY for _, option, _ in changed(config))
    more += len(config.scoring.options)
    parts = [
        model,
        data.label if data else PurePath(config.data).name,
        method.label if method else config.method,
        f"{percent(config.sparsity)} removed",
        _counted(config.epochs, "epoch"),
        f"seed {config.seed}",
    ]
    if more:
        parts.append(f"{_counted(more, 'other setting')} changed")
    return " · ".join(parts)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
