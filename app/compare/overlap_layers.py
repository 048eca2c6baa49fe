"""The overlap of two masks, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from app.charts.spec import Spec
from app.compare import detail_words as words
from app.compare import overlap_chart
from app.compare.answer import show_sentences
from app.services.overlap import MaskOverlap
from app.ui.glossary import TERMS
from app.ui.plots import theme
from prospr_engine.report.charts.colours import Colours


def show_overlap_layers(found: Sequence[MaskOverlap]) -> None:
    """The overlap of the masks of two series, layer by layer; nothing if there is no pair."""
    pairs = [(one.first, one.second) for one in found if not one.layer]
    if not pairs:
        return
    st.markdown("**Layer by layer**", help=TERMS["layer"])
    closest = max((one for one in found if not one.layer), key=lambda one: one.jaccard or 0)
    first, second = closest.first, closest.second
    if len(pairs) > 1:
        names = list(dict.fromkeys(name for pair in pairs for name in pair))
        left, right = st.columns(2)
        first = left.selectbox("Masks of", names, names.index(first), key="pair-first")
        known = [a if b == first else b for a, b in pairs if first in (a, b)]
        start = known.index(second) if first == closest.first else 0
        second = right.selectbox("and", known, start, key=f"pair-second-{first}")
    data = overlap_chart.layers_table(found, first, second)
    layers = tuple(data["layer"])
    spec = _spec(layers, theme())
    alt = overlap_chart.layers_description(data)
    st.vega_lite_chart(data, spec, key="detail-overlap-layers", alt=alt)
    show_sentences(words.overlap_layers(data, first, second))


@st.cache_data(max_entries=60, show_spinner=False)
def _spec(layers: tuple[str, ...], colours: Colours) -> Spec:
    return overlap_chart.layers_chart(layers, colours)
