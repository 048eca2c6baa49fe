"""One image, two networks: its source, the network input, and both predictions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from app import access, session
from app.charts.spec import Spec
from app.services import EngineError, Run, predictions, runs
from app.services.predictions import NETWORKS
from app.try_it import confidence_chart, words
from app.try_it.draw import draw
from app.ui.findings import plain, show_error
from app.ui.format import confidence
from app.ui.glossary import TERMS

INPUT = 168  # pixels of the picture of the network input
BARS = 232  # pixels of the bars of a network
KINDS = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"]


@st.fragment
def show_try(run: Run) -> None:
    """Draw, upload or pick an image, and see how both networks of ``run`` classify it."""
    try:
        source = st.segmented_control(
            "Image",
            list(words.SOURCES),
            format_func=words.SOURCES.__getitem__,
            default="draw",
            required=True,
            key="image",
            bind="query-params",
        )
        left, right = st.columns([0.3, 0.7], gap="large")
        with left:
            given = {"draw": _drawn, "upload": _uploaded, "test": _tested}[source](run)
        with right:
            if given is None:
                st.info(words.HINTS[source], icon=":material/image_search:")
            else:
                _show_answer(run, *given)
    except EngineError as error:
        show_error(error)


Given = tuple[np.ndarray, str, Mapping[str, np.ndarray] | None, int | None]
"""The pixels and their description; for a test image the predictions and the class, else None."""


def _drawn(run: Run) -> Given | None:
    frame = predictions.frame(run)
    shape = predictions.gallery(run).images.shape[1:]
    # A board per run: the background may differ.
    url = draw(frame.ground, shape[0] > 1, key=f"board-{run.id}")
    st.caption("With a keyboard, choose Upload or Test image.")
    pixels = predictions.drawn(run, url) if url else None
    if pixels is None:
        return None
    text = words.DRAWN[frame.ground is not None].format(pixels=words.pixels(shape, frame))
    return pixels, text, None, None


def _uploaded(run: Run) -> Given | None:
    frame = predictions.frame(run)
    file = st.file_uploader(
        "An image of your own", type=KINDS, max_upload_size=20, help=words.KINDS, key="try-file"
    )
    if file is None:
        st.caption(words.KINDS)
        return None
    pixels = predictions.uploaded(run, file.getvalue())
    if frame.ground is not None:
        swap = st.toggle(
            words.SWAP,
            predictions.looks_swapped(pixels, frame),
            # A choice per image: another one starts with what is detected.
            key=f"swap-{file.file_id}",
            help=words.SWAP_HELP.format(ground=frame.ground),
        )
        pixels = predictions.swapped(pixels) if swap else pixels
    return pixels, words.UPLOADED.format(pixels=words.pixels(pixels.shape, frame)), None, None


def _tested(run: Run) -> Given | None:
    if not access.shows_images(run, session.visitor()):
        st.caption(words.PRIVATE)
        return None
    gallery = predictions.gallery(run)
    changed, _ = words.members(gallery, "changed")
    only = st.toggle(
        "Only images whose prediction changed", key="try-changed", disabled=not len(changed)
    )
    choice = changed if only and len(changed) else np.flatnonzero(gallery.sampled)
    position = st.session_state.setdefault("try-position", 0) % len(choice)
    with st.container(horizontal=True):
        for label, icon, step in (
            ("Previous", ":material/chevron_left:", -1),
            ("Next", ":material/chevron_right:", 1),
        ):
            st.button(label, icon=icon, key=f"try-{label}", on_click=_turn, args=(step,))
    st.caption(f"{position + 1:,} of {len(choice):,} stored test images")
    i = int(choice[position])
    text = words.TESTED.format(
        number=int(gallery.numbers[i]) + 1,
        of=gallery.tested,
        pixels=words.pixels(gallery.images.shape[1:], predictions.frame(run)),
    )
    found = {name: gallery.probabilities[name][i].astype(float) for name in NETWORKS}
    return gallery.images[i], text, found, int(gallery.labels[i])


def _turn(step: int) -> None:
    st.session_state["try-position"] = st.session_state.get("try-position", 0) + step


def _show_answer(
    run: Run,
    pixels: np.ndarray,
    text: str,
    found: Mapping[str, np.ndarray] | None,
    label: int | None,
) -> None:
    classes = runs.result(run).data.classes
    found = predictions.answer(run, pixels) if found is None else found
    says = {network: plain(classes[int(found[network].argmax())]) for network in NETWORKS}
    truth = None if label is None else plain(classes[label])
    st.markdown(f"#### {words.verdict(says, truth)}", help=TERMS["confidence"])
    chosen = words.top(classes, found)
    with st.container(horizontal=True, gap="medium"):
        with st.container(width=INPUT):
            st.markdown("Network input")
            st.image(_enlarged(pixels), width=INPUT, alt=f"The network input. {text}")
        for network in NETWORKS:
            with st.container(width=BARS):
                sure = confidence(float(found[network].max()))
                st.markdown(f"{network.capitalize()}: **{says[network]}**, {sure} confident")
                rows = confidence_chart.table(network, classes, chosen, found[network])
                st.vega_lite_chart(
                    rows,
                    _bars(tuple(classes[i] for i in chosen)),
                    key=f"try-bars-{network}",
                    alt=confidence_chart.description(network, rows),
                )
    st.caption(plain(text))


def _enlarged(pixels: np.ndarray) -> Any:
    """Pixels (C, H, W) as a picture, enlarged without smoothing."""
    times = max(1, INPUT * 2 // pixels.shape[1])
    large = np.repeat(np.repeat(pixels, times, axis=1), times, axis=2)
    return Image.fromarray(large[0] if len(large) == 1 else large.transpose(1, 2, 0))


@st.cache_data(max_entries=200, show_spinner=False)
def _bars(classes: tuple[str, ...]) -> Spec:
    return confidence_chart.chart(classes)
