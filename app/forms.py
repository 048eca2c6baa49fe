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
from app.services import GROUPS, EngineError, Option, RunConfig
from app.text.labels import label

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


def remember(config: RunConfig) -> None:
    """Let the form show ``config``, unless the visitor has changed it already."""
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
    for name, value in values.items():
        st.session_state.setdefault(key(name), value)


def show() -> RunConfig | None:
    """Draw the form; the settings, or None while one of them cannot be used."""
    values: dict[str, Any] = {
        "model": _model(),
        "data": _data(),
        "sparsity": _sparsity(),
    }
    with st.expander("Advanced", icon=":material/tune:"):
        tabs = st.tabs(list(TABS))
        for tab, (group, own) in zip(tabs, TABS.values(), strict=True):
            with tab:
                values |= {
                    o.name: field(o) for o in services.settings_of(RunConfig) if o.name in own
                }
                if group == "scoring":
                    options = _method_options(values["method"])
                values[group] = {
                    option.name: field(option, group)
                    for option in services.settings_of(GROUPS[group])
                }
    if values["model"] is None or values["data"] is None:
        return None
    values["scoring"]["options"] = options
    try:
        return RunConfig.from_dict(values)
    except EngineError:
        return None  # told beside the widget


def key(name: str) -> str:
    """The name under which the session keeps a setting."""
    return f"form.{name}"


def field(option: Option, group: str = "") -> Any:
    """One setting as the widget that suits it; the engine's sentence beneath if it misfits."""
    name = f"{group}.{option.name}" if group else option.name
    words: dict[str, Any] = {"key": key(name), "help": _sentence(option.help)}
    text = option.label or label(option.name)
    st.session_state.setdefault(key(name), _shown(option, option.default))
    value: Any
    if option.name == "method":
        value = st.selectbox(
            text, list(services.METHODS), format_func=lambda m: services.METHODS[m].label, **words
        )
        st.caption(services.METHODS[value].description)
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
        show_error(error)
        return value  # which keeps `show` from making settings of it


def _number(text: str, option: Option, words: Mapping[str, Any]) -> float | None:
    whole = option.kind is int
    # Streamlit wants all of them in one type.
    low, high = (None if b is None else option.kind(b) for b in (option.minimum, option.maximum))
    step: Any = 1 if whole else _step(option.default)
    value: Any = st.number_input(
        text,
        low,
        high,
        None,  # an emptied field means the default, which the placeholder tells
        step=step,
        format="%d" if whole else "%g",
        placeholder=AUTOMATIC if option.default is None else f"{option.default:g}",
        **words,
    )
    return option.default if value is None else value


def _step(default: float | None) -> float:
    """One unit of the leading digit: 0.0001 for 0.0005."""
    return 10.0 ** math.floor(math.log10(default)) if default else 0.01


def _model() -> str | None:
    models = services.MODELS
    name = st.selectbox(
        "Model",
        list(models),
        format_func=lambda name: models[name].label if name in list(models) else name,
        key=key("model"),
        accept_new_options=True,
        help="The network to prune. Besides those listed, any classification network of "
        "torchvision: type torchvision/ and its name, such as torchvision/resnet18.",
    )
    try:
        services.check_model(name)
    except EngineError as error:
        show_error(error)
        return None
    if name in list(models):
        row = models[name]
        st.caption(f"{row.description} {_count(row.parameters)} parameters.")
    else:
        st.caption("Torchvision's network, made to fit the data.")
    return name


def _data() -> str | None:
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
        return _path()
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


def _path() -> str | None:
    path = st.text_input(
        "Folder or zip",
        key=key("path"),
        placeholder="/path/to/images.zip",
        help="One folder per class, with or without train and test above them.",
    ).strip()
    if not path:
        st.caption("Give the path of a folder or zip that holds one folder of images per class.")
        return None
    try:
        facts = services.describe(path)
    except EngineError as error:
        show_error(error)
        return None
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


def _method_options(method: str) -> dict[str, Any]:
    """The criterion's own options, as far as they differ from their defaults."""
    chosen = {}
    for option in services.METHODS[method].options:
        if option.name == "seed":
            continue  # the seed of the run serves
        value = field(option, f"option.{method}")
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
