"""What a run is of, in one line."""

from __future__ import annotations

from app.services import (
    CONTROLS,
    DATASETS,
    METHODS,
    MODELS,
    ConfigError,
    Run,
    RunConfig,
    display_name,
    is_control,
)
from app.ui.code import EVERYDAY, changed
from app.ui.format import counted, percent

OTHER_VERSION = "Settings of another version of this software"


def title(run: Run) -> str:
    """What to call a run: by the name that it was given, or ``Small CNN on Digits``, and what was
    changed if it is a control."""
    settings = run.settings
    model, data = (str(settings.get(name)) for name in ("model", "data"))
    told = [f"{model_label(model)} on {data_label(data)}", control_label(settings.get("control"))]
    return run.name or ", ".join(filter(None, told))


def of(run: Run) -> str:
    """The settings of ``run`` in one line, or that they cannot be read any more."""
    try:
        return summary(run.config)
    except ConfigError:
        return OTHER_VERSION


def short(run: Run) -> str:
    """For narrow boxes, what tells runs apart first: ``90 % · 3 epochs · seed 0 · Small CNN ·
    Digits · ProsPr``, after the name that it was given."""
    try:
        config = run.config
    except ConfigError:
        told = OTHER_VERSION
    else:
        model, data, method, removed, *rest = summary(config).split(" · ")
        told = " · ".join([removed.removesuffix(" removed"), *rest, model, data, method])
    return f"{run.name}: {told}" if run.name else told


def summary(config: RunConfig) -> str:
    """``Small CNN · Digits · ProsPr, mask shuffled · 90 % removed · 3 epochs · seed 0``."""
    told = (*EVERYDAY, "control")
    more = sum(option.name not in told for _, option, _ in changed(config))
    more += len(config.scoring.options)
    parts = [
        model_label(config.model),
        data_label(config.data),
        ", ".join(filter(None, (method_label(config.method), control_label(config.control)))),
        f"{percent(config.sparsity)} removed",
        counted(config.epochs, "epoch"),
        f"seed {config.seed}",
    ]
    if more:
        parts.append(f"{counted(more, 'other setting')} changed")
    return " · ".join(parts)


def model_label(name: str) -> str:
    """``resnet20`` is called "ResNet-20"."""
    # Looking up others would import torchvision.
    return MODELS[name].label if name in list(MODELS) else name


def data_label(name: str) -> str:
    """``digits`` is called "Digits"; an upload or a path by its file's name."""
    row = DATASETS.get(name)
    return row.label if row else display_name(name)


def method_label(name: str) -> str:
    """``snip`` is called "SNIP"."""
    row = METHODS.get(name)
    return row.label if row else name


def control_label(name: object) -> str:
    """``shuffle`` is called "mask shuffled"; nothing if nothing was changed on purpose."""
    if not is_control(name):
        return ""
    row = CONTROLS.get(str(name))
    return row.label[:1].lower() + row.label[1:] if row else str(name)
