"""The name and the settings of a run, in one line."""

from __future__ import annotations

from app.services import (
    CHANNELS,
    CONTROLS,
    DATASETS,
    ENCODINGS,
    METHODS,
    WEIGHTS,
    ConfigError,
    Run,
    RunConfig,
    display_name,
    is_control,
    label_of,
    setting_words,
)
from app.ui.code import EVERYDAY, changed
from app.ui.format import counted, percent
from app.ui.labels import BUDGETS, label

MOST_NAMED = 3  # other settings in a summary
OTHER_VERSION = "Settings of another version of this software"


def title(run: Run) -> str:
    """The name that a run was given, or else ``Small CNN on Digits``, with the control if it is
    one."""
    settings = run.settings
    model, data = (str(settings.get(name)) for name in ("model", "data"))
    parts = [f"{model_label(model)} on {data_label(data)}", control_label(settings.get("control"))]
    return run.name or ", ".join(filter(None, parts))


def of(run: Run) -> str:
    """The settings of ``run`` in one line, or that they cannot be read."""
    try:
        return summary(run.config)
    except ConfigError:
        return OTHER_VERSION


def short(run: Run) -> str:
    """For narrow boxes, what usually differs first: ``90 % · 3 epochs · seed 0 · Small CNN · Digits
    · ProsPr``, after the name that the run was given."""
    try:
        config = run.config
    except ConfigError:
        text = OTHER_VERSION
    else:
        model, data, method, removed, *rest = summary(config).split(" · ")
        text = " · ".join([removed.removesuffix(" removed"), *rest, model, data, method])
    return f"{run.name}: {text}" if run.name else text


def summary(config: RunConfig) -> str:
    """``Small CNN · Digits · ProsPr, mask shuffled · 90 % removed · 3 epochs · seed 0``."""
    parts = [
        model_label(config.model),
        data_label(config.data),
        ", ".join(filter(None, (method_label(config.method), control_label(config.control)))),
        removed(config),
        counted(config.epochs, "epoch"),
        f"seed {config.seed}",
    ]
    return " · ".join([*parts, *other_settings(config)])


def removed(config: RunConfig) -> str:
    """``90 % removed``, or ``50 % of the multiply-adds removed as channels``."""
    share = percent(config.sparsity)
    if config.kind == WEIGHTS:
        return f"{share} removed"
    if config.channel_budget == CHANNELS:
        return f"{share} of the channels removed"
    what = BUDGETS[config.channel_budget].lower()
    return f"{share} of the {what} removed as channels"


def other_settings(config: RunConfig) -> list[str]:
    """The other settings that are not at their defaults, as one part of a summary if there are
    any: ``learning rate of training: 0.05, skip broken images``."""
    settings = [
        _setting(
            option.label or label(option.name, group),
            # Only the name: a path must not be shown to other visitors.
            display_name(value) if option.names_file(value) else value,
        )
        for group, option, value in changed(config)
        if option.name not in (*EVERYDAY, "control", "kind", "channel_budget")
    ]
    labels = {option.name: option.label for option in METHODS[config.method].options}
    for name, value in config.scoring.options.items():
        settings.append(_setting(labels.get(name) or label(name, "option"), value))
    settings += [f"layer {name} {setting_words(own)}" for name, own in config.layers.items()]
    more = len(settings) - MOST_NAMED
    if more > 0:
        settings[MOST_NAMED:] = [counted(more, "more setting")]
    return [", ".join(settings)] if settings else []


def _setting(label: str, value: object) -> str:
    text = label[:1].lower() + label[1:]
    if isinstance(value, bool):
        return text if value else f"{text}: off"
    return f"{text}: {value:g}" if isinstance(value, float) else f"{text}: {value}"


def model_label(name: str) -> str:
    """``ResNet-20`` for ``resnet20``."""
    return label_of(name)


def data_label(name: str) -> str:
    """``Digits`` for ``digits``; the file name of an upload or a path."""
    row = DATASETS.get(name)
    return row.label if row else display_name(name)


def method_label(name: str) -> str:
    """``SNIP`` for ``snip``."""
    row = METHODS.get(name)
    return row.label if row else name


def control_label(name: object) -> str:
    """``mask shuffled`` for ``shuffle``; "" for a run that is not a control."""
    if not is_control(name):
        return ""
    row = CONTROLS.get(str(name))
    return row.label[:1].lower() + row.label[1:] if row else str(name)


def encoding_label(encoding: str) -> str:
    """The label of an encoding of the ONNX file, or its name if it is unknown."""
    row = ENCODINGS.get(encoding)
    return row.label if row else encoding
