"""The choices that everybody makes: network, images, how much to remove."""

from __future__ import annotations

import contextlib
import re
from difflib import get_close_matches

import streamlit as st

from app import services
from app.forms import uploads
from app.forms.url_state import FOLDER, IMAGES, WEIGHTS_FILE, called, key
from app.services import TORCHVISION, ConfigError, EngineError, estimates
from app.ui.bounds import MOST_SPARSE
from app.ui.findings import plain, show_error
from app.ui.format import to_fraction
from app.ui.glossary import TERMS
from app.ui.labels import OWN_IMAGES, OWN_WEIGHTS, PATH

MOST = "most-sparse"
"""How far the slider of this session reaches."""


def model(faults: list[EngineError]) -> str:
    """The network: one of the zoo, or one of torchvision's by its name."""
    models = services.MODELS
    name: str = st.selectbox(
        "Model",
        list(models),
        format_func=lambda name: called("model", name),
        key=key("model"),
        accept_new_options=True,
        on_change=_complete,
        help="The network to prune. Besides those listed, any classification network of "
        "torchvision: type torchvision/ and its name, such as torchvision/resnet18.",
        bind="query-params",
    )
    try:
        services.check_model(name)
    except EngineError as error:
        show_error(error if services.models_like(name) else _no_model(name))
        faults.append(ConfigError("There is no such model: see the form."))
        return name
    if name in list(models):
        st.caption(models[name].description)
    else:
        st.caption("Torchvision's network, made to fit the data.")
    return name


def _no_model(name: str) -> str:
    """That there is none like it, in the words of the box."""
    labels = {row.label.casefold(): row.label for row in services.MODELS.values()}
    near = get_close_matches(name.casefold(), list(labels), n=1)
    hint = f" (did you mean {labels[near[0]]}?)" if near else ""
    return (
        f"There is no model called {name[:80]!r}{hint}. Choose one of the list, or type "
        "torchvision/ and a name, such as torchvision/resnet18."
    )


def _complete() -> None:
    """Part of a model's name, typed into the box, becomes that model if there is only one."""
    matches = services.models_like(st.session_state[key("model")] or "")
    if len(matches) == 1:
        st.session_state[key("model")] = matches[0]


def weights(model: str, data: str, faults: list[EngineError]) -> str:
    """The weights that the network has before it is pruned."""
    kinds = ["fresh", "pretrained" if model.startswith(TORCHVISION) else OWN_WEIGHTS]
    kind: str = st.selectbox(
        "Initial weights",
        kinds,
        format_func=lambda kind: called("weights", kind),
        key=key("weights"),
        help="New weights are drawn at random from the seed. Listed networks can also start from "
        "your own file, torchvision networks from ImageNet weights.",
        bind="query-params",
    )
    if kind != OWN_WEIGHTS:
        return kind
    named = _named(WEIGHTS_FILE)
    token = uploads.choose_weights(model, *_wanted(data))
    if token is None:
        _explain(named, WEIGHTS_FILE, "weights", faults)
    return token or "fresh"


def _wanted(data: str) -> tuple[tuple[int, int, int] | None, int | None]:
    """Shape and classes that weights have to fit, as far as they are known."""
    try:
        images = estimates.images_of(data, st.session_state.get(key("image_size", "loading")))
    except EngineError:
        return None, None  # what is wrong with the data stands beneath them
    return ((images.channels, images.size, images.size), images.classes) if images else (None, None)


def data(faults: list[EngineError]) -> str:
    """The images to learn from: of the catalogue, or the visitor's own."""
    datasets = services.DATASETS
    own = [OWN_IMAGES, PATH] if services.paths_allowed() else [OWN_IMAGES]
    name: str = st.selectbox(
        "Data",
        [*datasets, *own],
        format_func=lambda name: called("data", name),
        key=key("data"),
        help="The images to learn from. Test images are used once, at the end.",
        bind="query-params",
    )
    if name == OWN_IMAGES:
        named = _named(IMAGES)
        token = uploads.choose_images()
        if token is None:
            _explain(named, IMAGES, "images", faults)
        return token or next(iter(datasets))
    if name == PATH:
        return _path(faults)
    row = datasets[name]
    colour = "grey" if row.channels == 1 else "colour"
    about = row.description.split(";")[0]
    size = "" if "pixels" in about else f" of {row.image_size} × {row.image_size} pixels"
    note = f" The first use downloads {row.download_mb:,} MB." if row.download_mb else ""
    st.caption(
        f"{about}. {row.train + row.test:,} {colour} images{size}, {row.classes} classes.{note}"
    )
    return name


def _named(box: str) -> str | None:
    """The upload that the session or the address wants in ``box``."""
    return st.session_state.get(box) or st.query_params.get(box)


def _explain(named: str | None, box: str, what: str, faults: list[EngineError]) -> None:
    """Why no upload is used: nobody chose one, or the address is of somebody else's. What is
    wrong with a file of the visitor's own stands beneath it already."""
    if named and not st.session_state.get(box):
        # Without the digits that tell it from others of its name.
        name = re.sub(r" \([0-9a-f]{4}\)$", "", services.display_name(named))
        show_error(
            f"{name} cannot be used here: it is somebody else's, or it was removed. Upload {what} "
            "of your own, or choose something else."
        )
    faults.append(ConfigError(f"The {what} are not chosen yet: see the form."))


def _path(faults: list[EngineError]) -> str:
    path: str = st.text_input(
        "Folder or zip",
        key=FOLDER,
        placeholder="/path/to/images.zip",
        help="One folder per class, with or without train and test above them.",
        bind="query-params",
    ).strip()
    if not path:
        st.caption("Give the path of a folder or zip that holds one folder of images per class.")
        faults.append(ConfigError("The data are not chosen yet: see the form."))
        return path
    try:
        facts = estimates.describe(path)
    except EngineError as error:
        show_error(error)
        faults.append(ConfigError("The data cannot be read: see the form."))
        return path
    size = f" of {facts.image_size} pixels" if facts.image_size else ""
    test = f", {facts.test:,} for the test" if facts.test else ""
    st.caption(
        plain(
            f"{facts.class_count} classes, {facts.train:,} training images{size}{test}. "
            + " ".join(facts.notes)
        )
    )
    return path


def sparsity() -> float:
    """The share of the weights to remove."""
    percent: float = st.slider(
        "Weights removed",
        0.0,
        _reach(),
        value=90.0,
        step=0.1,
        format="%.8g\N{NO-BREAK SPACE}%%",
        key=key("sparsity"),
        help=f"The sparsity. {TERMS['sparsity']} The weights of all layers compete with each "
        "other.",
        bind="query-params",
    )
    return to_fraction(percent)


def _reach() -> float:
    """The end of the slider, beyond the usual one if a run or the address went further. It stays
    there: with another end it would be another slider, and lose its place."""
    asked = 0.0
    with contextlib.suppress(ValueError):
        asked = float(st.session_state.get("sparsity", st.query_params.get("sparsity", 0)))
    reach: float = st.session_state.get(MOST, MOST_SPARSE)
    if reach < asked < 100:
        reach = asked
    st.session_state[MOST] = reach
    return reach
