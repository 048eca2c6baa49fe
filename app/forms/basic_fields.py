"""The everyday choices: network, images, sparsity."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial

import streamlit as st

from app import access, services
from app.forms import uploads
from app.forms.url_state import FOLDER, IMAGES, NETWORK, WEIGHTS_FILE, choice_label, key
from app.services import CHANNELS, WEIGHTS, ConfigError, EngineError, estimates
from app.services import uploads as files
from app.ui.bounds import MOST_SPARSE
from app.ui.findings import show_error
from app.ui.format import to_fraction, to_percent
from app.ui.glossary import TERMS
from app.ui.labels import (
    BUDGETS,
    FROM_NETWORK,
    KINDS,
    OWN_IMAGES,
    OWN_NETWORK,
    OWN_WEIGHTS,
    PATH,
    label,
)
from app.ui.share_slider import share_slider, take_address

ABOUT_KINDS = {
    WEIGHTS: "Removed weights become zeros: the compact file is smaller, the network no faster.",
    CHANNELS: "Whole channels go: the network itself becomes smaller and faster.",
}
GIVEN = (
    "Given weights are pruned, then fine-tuned, and the dense network beside them: at a tenth of "
    "the network's learning rate, unless you set one (Advanced, Training). Pixels must be scaled "
    "as they were when these weights were trained: automatic finds out how, as far as it can "
    "(Advanced, Data)."
)
OWN_NETWORKS_WEIGHTS = {
    FROM_NETWORK: "What the network has learned is kept; if the images have other classes than it "
    "tells apart, all but its classifier, which is new.",
    "fresh": "Only the architecture is used: the network is pruned before any training, which is "
    "what ProsPr was made for.",
}
"""By choice, what it means."""
MOST = "most-sparse"
"""The end of the slider in this session."""


def model(errors: list[EngineError]) -> str:
    """The network: one of ours, of another library, or the visitor's own."""
    models = services.MODELS
    name: str = st.selectbox(
        "Model",
        [*models, OWN_NETWORK, *services.listed_names()],
        format_func=lambda name: choice_label("model", name),
        key=key("model"),
        accept_new_options=True,
        on_change=_complete,
        help="The network to prune: type a part of its name. Below our own, made for small images, "
        "are your own network, from an ONNX file, and those of torchvision and timm.",
        bind="query-params",
    )
    if name == OWN_NETWORK:
        chosen = _upload(NETWORK, "network", uploads.choose_network, errors)
        return chosen or next(iter(models))
    try:
        if services.is_file(name):  # a path that was typed
            access.check_path("model", name, list(models))
            uploads.show_network(files.network_at(name))
            return name
        services.check_model(name)
    except EngineError as error:
        known = services.is_file(name) or services.models_like(name)
        show_error(error if known else _no_model(name))
        errors.append(ConfigError("There is no such model: see the form."))
        return name
    if name in list(models):
        st.caption(models[name].description)
    else:
        library = name.partition("/")[0]
        st.caption(f"The {library} network, adapted to the size and classes of the images.")
    return name


def _no_model(name: str) -> str:
    """The message for an unknown model, with the labels shown in the box."""
    labels = {row.label.casefold(): row.label for row in services.MODELS.values()}
    near = get_close_matches(name.casefold(), list(labels), n=1)
    hint = f" (did you mean {labels[near[0]]}?)" if near else ""
    return (
        f"There is no model called {name[:80]!r}{hint}. Choose one from the list, or type "
        "a library and a name, such as torchvision/resnet18."
    )


def _complete() -> None:
    """Complete a typed part of a model's name if only one model matches. Somebody who brings a
    network usually means its weights, too."""
    if st.session_state[key("model")] == OWN_NETWORK:
        st.session_state[key("weights")] = FROM_NETWORK
        return
    matches = services.models_like(st.session_state[key("model")] or "")
    if len(matches) == 1:
        st.session_state[key("model")] = matches[0]


def weights(model: str, data: str, errors: list[EngineError]) -> str:
    """The weights of the network before pruning."""
    if services.is_file(model) or st.session_state.get(key("model")) == OWN_NETWORK:
        return _weights_of_own()
    published = ["pretrained"] if services.collection_of(model) else []
    kinds = ["fresh", *published, OWN_WEIGHTS]
    kind: str = st.selectbox(
        "Initial weights",
        kinds,
        format_func=lambda kind: choice_label("weights", kind),
        key=key("weights"),
        help="New weights are drawn at random from the seed. Every network can also start from "
        "your own file, those of torchvision and timm from the weights that these publish.",
        bind="query-params",
    )
    if kind != "fresh":
        st.caption(GIVEN)
    if kind != OWN_WEIGHTS:
        return kind
    choose = partial(uploads.choose_weights, model, *_wanted(data))
    return _upload(WEIGHTS_FILE, "weights", choose, errors) or "fresh"


def _weights_of_own() -> str:
    """The weights of a network that the visitor brought."""
    kind: str = st.selectbox(
        "Initial weights",
        list(OWN_NETWORKS_WEIGHTS),
        format_func=lambda kind: choice_label("weights", kind),
        key=key("weights"),
        help="A network that is trained already keeps what it has learned: it is pruned, then "
        "trained on. With new weights only its architecture counts.",
        bind="query-params",
    )
    st.caption(OWN_NETWORKS_WEIGHTS[kind])
    if kind == FROM_NETWORK:
        st.caption(GIVEN)
    return "pretrained" if kind == FROM_NETWORK else kind


def _wanted(data: str) -> tuple[tuple[int, int, int] | None, int | None]:
    """The shape and number of classes that weights must match, None where unknown."""
    try:
        images = estimates.images_of(data, st.session_state.get(key("image_size", "loading")))
    except EngineError:
        return None, None  # the problem is shown below the data
    return ((images.channels, images.size, images.size), images.classes) if images else (None, None)


def data(errors: list[EngineError]) -> str:
    """The images to train on: a listed data set, or the visitor's own."""
    datasets = services.DATASETS
    own = [OWN_IMAGES, PATH] if access.paths_allowed() else [OWN_IMAGES]
    name: str = st.selectbox(
        "Data",
        [*datasets, *own],
        format_func=lambda name: choice_label("data", name),
        key=key("data"),
        help="The images to train and test on. Test images are used once, at the end.",
        bind="query-params",
    )
    if name == OWN_IMAGES:
        chosen = _upload(IMAGES, "images", uploads.choose_images, errors)
        return chosen or next(iter(datasets))
    if name == PATH:
        return _path(errors)
    row = datasets[name]
    colour = "grey" if row.channels == 1 else "colour"
    about = row.description.split(";")[0]
    size = "" if "pixels" in about else f" of {row.image_size} × {row.image_size} pixels"
    note = f" The first use downloads {row.download_mb:,} MB." if row.download_mb else ""
    st.caption(
        f"{about}. {row.train + row.test:,} {colour} images{size}, {row.classes} classes.{note}"
    )
    return name


def _upload(
    box: str, what: str, choose: Callable[[], str | None], errors: list[EngineError]
) -> str | None:
    """The token of the upload in ``box``, which ``choose`` draws; if there is none, why."""
    # Drawing the box forgets what it cannot show.
    named = st.session_state.get(box) or st.query_params.get(box)
    token = choose()
    if token is None:
        _explain(named, box, what, errors)
    return token


def _explain(named: str | None, box: str, what: str, errors: list[EngineError]) -> None:
    """Say why no upload is used: none is selected, or the one in the address is somebody else's.
    Problems with the visitor's own files are shown below the box already."""
    if named and not st.session_state.get(box):
        # Without the digits of the digest, which distinguish files of the same name.
        name = re.sub(r" \([0-9a-f]{4}\)$", "", services.display_name(named))
        show_error(
            f"{name} cannot be used here: it belongs to somebody else or was removed. Upload your "
            f"own {what}, or choose something else."
        )
    errors.append(ConfigError(f"No {what} selected yet: see the form."))


def _path(errors: list[EngineError]) -> str:
    path: str = st.text_input(
        f"Path of {files.path_formats()}",
        key=FOLDER,
        placeholder="/path/to/images.zip",
        help=uploads.IMAGES_HELP,
        bind="query-params",
    ).strip()
    if not path:
        st.caption(f"Give the path of {files.path_formats()} with images of at least 2 classes.")
        errors.append(ConfigError("No data selected yet: see the form."))
        return path
    try:
        uploads.show_images(estimates.look(path), path)
    except EngineError as error:
        show_error(error)
        errors.append(ConfigError("The data cannot be read: see the form."))
    return path


def kind() -> str:
    """Whether single weights or whole channels are removed."""
    chosen: str = st.segmented_control(
        label("kind"),
        list(KINDS),
        format_func=KINDS.__getitem__,
        default=next(iter(KINDS)),
        required=True,
        key=key("kind"),
        help=TERMS["kind of pruning"],
        bind="query-params",
    )
    st.caption(ABOUT_KINDS[chosen])
    return chosen


def sparsity() -> float:
    """The fraction to remove: of the weights, or of what the budget of channels counts."""
    name, default = key("sparsity"), to_percent(services.RunConfig().sparsity)
    # The budget is set in a tab further down.
    of_channels = st.session_state.get(key("kind")) == CHANNELS
    budget = st.session_state.get(key("channel_budget")) if of_channels else None
    percent = share_slider(
        f"{BUDGETS.get(budget or '', 'Weights')} removed",
        name,
        _reach(take_address(name, default)),
        default,
        help=f"{TERMS['sparsity']} All layers share one ranking.",
    )
    return to_fraction(percent)


def _reach(shown: float) -> float:
    """The end of the slider, extended if a run or the address goes further. It never shrinks again:
    a slider with another end would be another widget and lose its value."""
    reach: float = max(st.session_state.get(MOST, MOST_SPARSE), shown)
    st.session_state[MOST] = reach
    return reach
