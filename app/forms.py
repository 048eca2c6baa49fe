"""The form: from the engine's tables and settings to a ``RunConfig``.

A new model, data set, criterion or setting in the engine appears here by itself. Only the
everyday choices are laid out by hand; all others stand under "Advanced".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import streamlit as st

from app import services
from app.components.findings import show_error
from app.services import GROUPS, ConfigError, EngineError, Option, RunConfig
from app.text.labels import UNSET, label

AUTOMATIC = "automatic"
OWN_DATA = "A folder or zip on this machine"
MOST_SPARSE = 99.5  # %; the engine takes any fraction below 1, a slider needs an end

EVERYDAY = ("model", "data", "sparsity")
TABS: dict[str, tuple[str, tuple[str, ...]]] = {
    # tab: (group of settings, settings of the run itself that stand before them)
    "Criterion": ("scoring", ("method", "layer_floor")),
    "Training": ("training", ("epochs", "seed", "weights", "device")),
    "Data": ("loading", ()),
}


DEVICES = ("auto", "cpu", "cuda")


def remember(config: RunConfig) -> None:
    """Let the form show ``config``, unless the visitor has changed it already."""
    for name, value in _held(config).items():
        st.session_state.setdefault(key(name), value)


def fill(config: RunConfig) -> None:
    """Let the form show ``config``, whatever it showed."""
    for name, value in _held(config).items():
        st.session_state[key(name)] = value


def _held(config: RunConfig) -> dict[str, Any]:
    """What the widgets hold when the form shows ``config``."""
    values = {o.name: _shown(o, getattr(config, o.name)) for o in services.settings_of(RunConfig)}
    for group, cls in GROUPS.items():
        settings = getattr(config, group)
        for option in services.settings_of(cls):
            values[f"{group}.{option.name}"] = _shown(option, getattr(settings, option.name))
    values["sparsity"] = round(100 * config.sparsity, 6)
    if config.data not in services.DATASETS:
        values |= {"data": OWN_DATA, "path": config.data}
    for option in services.METHODS[config.method].options if _known(config) else ():
        given = config.scoring.options.get(option.name, option.default)
        values[f"option.{config.method}.{option.name}"] = given
    return values


def show() -> RunConfig:
    """Draw the form and return its settings. Raises ``EngineError`` if one of them cannot be
    used: what stands beside it, in full where a closed tab may hide it."""
    faults: list[EngineError] = []
    values: dict[str, Any] = {
        "model": _model(faults),
        "data": _data(faults),
        "sparsity": _sparsity(),
    }
    with st.expander("Advanced", icon=":material/tune:"):
        tabs = st.tabs(list(TABS))
        for tab, (group, own) in zip(tabs, TABS.values(), strict=True):
            with tab:
                values |= {
                    o.name: field(o, faults)
                    for o in services.settings_of(RunConfig)
                    if o.name in own
                }
                if group == "scoring":
                    options = _method_options(values["method"], faults)
                values[group] = {
                    option.name: field(option, faults, group)
                    for option in services.settings_of(GROUPS[group])
                }
    if faults:
        raise faults[0]
    values["scoring"]["options"] = options
    return RunConfig.from_dict(values)


def key(name: str) -> str:
    """The name under which the session keeps a setting."""
    return f"form.{name}"


def field(option: Option, faults: list[EngineError], group: str = "") -> Any:
    """One setting as the widget that suits it. If its value misfits, the engine's sentence stands
    beneath and joins ``faults``."""
    name = f"{group}.{option.name}" if group else option.name
    words: dict[str, Any] = {"key": key(name), "help": _sentence(option.help)}
    text = option.label or label(option.name, group)
    st.session_state.setdefault(key(name), _shown(option, option.default))
    value: Any
    if option.name == "method":
        value = st.selectbox(
            text, list(services.METHODS), format_func=lambda m: services.METHODS[m].label, **words
        )
        st.caption(services.METHODS[value].description)
    elif option.name == "device":
        # Which there are, only torch knows; a run may have come with another one, as cuda:1.
        held = st.session_state[key(name)]
        names = [*DEVICES, *({held} - set(DEVICES))]
        value = st.selectbox(
            text, names, format_func=lambda d: AUTOMATIC if d == "auto" else d, **words
        )
    elif option.choices:
        choices = [AUTOMATIC, *option.choices] if option.optional else option.choices
        value = st.selectbox(text, choices, **words)
        value = None if value == AUTOMATIC else value
    elif option.kind is bool:
        value = st.toggle(text, **words)
    elif option.kind in (int, float):
        value = _number(text, option, words)
    else:
        value = st.text_input(text, **words)
    try:
        return option.check(value)
    except EngineError as error:
        # By the name that stands above the field.
        told = ConfigError(text + str(error).removeprefix(option.name))
        show_error(told)
        faults.append(told)
        return option.default


def _number(text: str, option: Option, words: Mapping[str, Any]) -> float | None:
    whole = option.kind is int
    step: Any = 1 if whole else _step(option.default)
    # No bounds: the browser would keep what lies outside them to itself, without a word, and an
    # earlier value would be used.
    value: Any = st.number_input(
        text,
        value=None,  # an emptied field means the default, which the placeholder tells
        step=step,
        format="%d" if whole else "%g",
        placeholder=UNSET.get(option.name, AUTOMATIC)
        if option.default is None
        else f"{option.default:g}",
        **words,
    )
    return option.default if value is None else value


def _step(default: float | None) -> float:
    """One unit of the leading digit: 0.0001 for 0.0005."""
    return 10.0 ** math.floor(math.log10(default)) if default else 0.01


def _model(faults: list[EngineError]) -> str:
    models = services.MODELS
    name = st.selectbox(
        "Model",
        list(models),
        format_func=lambda name: models[name].label if name in list(models) else name,
        key=key("model"),
        accept_new_options=True,
        on_change=_complete,
        help="The network to prune. Besides those listed, any classification network of "
        "torchvision: type torchvision/ and its name, such as torchvision/resnet18.",
    )
    try:
        services.check_model(name)
    except EngineError as error:
        show_error(error)
        faults.append(ConfigError("There is no such model: see above."))
        return name
    if name in list(models):
        row = models[name]
        st.caption(
            f"{row.description} {_count(row.parameters)} parameters on 32 × 32 colour images."
        )
    else:
        st.caption("Torchvision's network, made to fit the data.")
    return name


def _complete() -> None:
    """Part of a model's name, typed into the box, becomes that model if there is only one."""
    matches = services.models_like(st.session_state[key("model")] or "")
    if len(matches) == 1:
        st.session_state[key("model")] = matches[0]


def _data(faults: list[EngineError]) -> str:
    datasets = services.DATASETS
    names = [*datasets, OWN_DATA] if services.paths_allowed() else list(datasets)
    name = st.selectbox(
        "Data",
        names,
        format_func=lambda name: _data_label(name),
        key=key("data"),
        help="The images to learn from. Test images are looked at once, at the end.",
    )
    if name == OWN_DATA:
        return _path(faults)
    row = datasets[name]
    colour = "grey" if row.channels == 1 else "colour"
    note = f" The first use downloads {row.download_mb:,} MB." if row.download_mb else ""
    about = row.description.split(";")[0]
    size = "" if "pixels" in about else f" of {row.image_size} × {row.image_size} pixels"
    st.caption(
        f"{about}. {row.train + row.test:,} {colour} images{size}, {row.classes} classes.{note}"
    )
    return name


def _data_label(name: str) -> str:
    if name not in services.DATASETS:
        return name
    row = services.DATASETS[name]
    return f"{row.label} (download, {row.download_mb:,} MB)" if row.download_mb else row.label


def _path(faults: list[EngineError]) -> str:
    path: str = st.text_input(
        "Folder or zip",
        key=key("path"),
        placeholder="/path/to/images.zip",
        help="One folder per class, with or without train and test above them.",
    ).strip()
    if not path:
        st.caption("Give the path of a folder or zip that holds one folder of images per class.")
        faults.append(ConfigError("The data are not chosen yet: see above."))
        return path
    try:
        facts = services.describe(path)
    except EngineError as error:
        show_error(error)
        faults.append(ConfigError("The data cannot be read: see above."))
        return path
    size = f" of {facts['image_size']} pixels" if facts["image_size"] else ""
    test = f", {facts['test']:,} for the test" if facts["test"] else ""
    st.caption(
        f"{facts['class_count']} classes, {facts['train']:,} training images{size}{test}. "
        + " ".join(facts["notes"])
    )
    return path


def _sparsity() -> float:
    percent: float = st.slider(
        "Weights removed",
        0.0,
        MOST_SPARSE,
        step=0.5,
        format="%g %%",
        key=key("sparsity"),
        help="The sparsity: the share of the weights that is set to zero before training and "
        "stays zero. The weights of all layers compete with each other.",
    )
    return round(percent / 100, 6)


def _method_options(method: str, faults: list[EngineError]) -> dict[str, Any]:
    """The criterion's own options, as far as they differ from their defaults."""
    chosen = {}
    for option in services.METHODS[method].options:
        if option.name == "seed":
            continue  # the seed of the run serves
        value = field(option, faults, f"option.{method}")
        if value != option.default:
            chosen[option.name] = value
    return chosen


def _known(config: RunConfig) -> bool:
    return config.method in services.METHODS


def _shown(option: Option, value: Any) -> Any:
    """What the widget of ``option`` holds for ``value``: a selection cannot be None."""
    return AUTOMATIC if value is None and option.choices else value


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _count(number: int) -> str:
    if number >= 1_000_000:
        return f"{number / 1e6:.1f} million"
    return f"{number:,}"
