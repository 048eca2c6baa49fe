"""The test images whose prediction changed through pruning."""

from __future__ import annotations

import base64
import html
import io

import numpy as np
import streamlit as st
from PIL import Image

from app import access, session
from app.services import EngineError, Run, predictions, runs
from app.services.predictions import NETWORKS
from app.try_it import words
from app.ui.findings import show_error
from app.ui.format import confidence

PAGE = 24  # images shown at first, and per click on "more"
SIDE = 112  # pixels of a picture

STYLE = f"""
<style>
.stHtml .wall {{ display: grid; grid-template-columns: repeat(auto-fill, minmax({SIDE}px, 1fr));
  gap: 1rem; margin: 0; padding: 0; list-style: none; }}
.wall li {{ margin: 0; padding: 0; font-size: 0.875rem; line-height: 1.35;
  overflow-wrap: anywhere; }}
.wall img {{ width: {SIDE}px; height: {SIDE}px; object-fit: contain; border-radius: 4px;
  image-rendering: pixelated; border: 1px solid light-dark(#D5DDE3, #33424E); }}
.wall .right {{ color: light-dark(#00654F, #5FD3B2); font-weight: 600; }}
.wall .wrong {{ color: light-dark(#9A1F18, #F5A199); font-weight: 600; }}
</style>
"""


@st.fragment
def show_changed(run: Run) -> None:
    """How many predictions changed, and the images, by outcome."""
    try:
        gallery = predictions.gallery(run)
        st.markdown(words.counts(gallery))
        if not access.shows_images(run, session.visitor()):
            st.info(words.PRIVATE, icon=":material/lock:")
            return
        totals = {name: words.members(gallery, name)[1] for name in words.GROUPS}
        names = [name for name, total in totals.items() if total]
        if not names:
            return
        group = st.segmented_control(
            "Show",
            names,
            format_func=lambda name: f"{words.GROUPS[name][0]}: {totals[name]:,}",
            default=names[0],
            required=True,
            label_visibility="collapsed",
            key=f"changed-{run.id}",
        )
        here, total = words.members(gallery, group)
        key = f"shown-{run.id}-{group}"
        shown = here[: st.session_state.get(key, PAGE)]
        classes = runs.result(run).data.classes
        st.html(_wall(run.id, gallery, shown, classes))
        if len(here) < total:
            st.caption(f"{len(here):,} of these {total:,} images are stored.")
        if len(shown) < len(here):
            st.button(
                f"Show {min(PAGE, len(here) - len(shown)):,} more",
                icon=":material/expand_more:",
                key="changed-more",
                on_click=lambda: st.session_state.update({key: len(shown) + PAGE}),
            )
    except EngineError as error:
        show_error(error)


@st.cache_data(max_entries=50, show_spinner=False)
def _wall(
    run_id: str, _gallery: predictions.Gallery, shown: np.ndarray, classes: tuple[str, ...]
) -> str:
    """The images as HTML. ``run_id`` identifies the gallery in the cache."""
    return f'{STYLE}<ul class="wall">{"".join(_item(_gallery, i, classes) for i in shown)}</ul>'


def _item(gallery: predictions.Gallery, i: int, classes: tuple[str, ...]) -> str:
    label = int(gallery.labels[i])
    truth = html.escape(classes[label])
    lines = []
    for network in NETWORKS:
        said = int(gallery.answers[network][i])
        right = said == label
        sure = confidence(float(gallery.probabilities[network][i][said]))
        lines.append(
            f'{network.capitalize()}: <span class="{"right" if right else "wrong"}">'
            f"{html.escape(classes[said])}\N{NO-BREAK SPACE}{'✓' if right else '✗'}</span> {sure}"
        )
    alt = f"Test image {int(gallery.numbers[i]) + 1}, of class {truth}"
    picture = f'<img src="{_url(gallery.images[i])}" alt="{alt}">'
    return f"<li>{picture}<br>Is: <b>{truth}</b><br>{'<br>'.join(lines)}</li>"


def _url(pixels: np.ndarray) -> str:
    """uint8 (C, H, W) as the address of a small picture."""
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    file = io.BytesIO()
    kind = "png" if max(picture.size) <= SIDE // 2 else "jpeg"
    picture.thumbnail((SIDE, SIDE))
    picture.save(file, kind)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"
