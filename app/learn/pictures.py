"""The pictures of the page "Learn", and the glossary."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from app.charts.spec import Spec
from app.learn import charts, words
from app.ui.glossary import TERMS
from app.ui.plots import theme
from prospr_engine.report.charts.colours import Colours

# Squares whose opacity is the number: they follow the theme by themselves.
STYLE = """\
<style>
.pixels { display: flex; flex-wrap: wrap; gap: 1rem; margin: 0; padding: 0; }
.pixels figure { margin: 0; width: 104px; }
.pixels .small { width: 64px; }
.pixels .grid { display: grid; grid-template-columns: repeat(8, 1fr); aspect-ratio: 1;
  background: light-dark(#F3F6F8, #1B252D); border-radius: 4px; overflow: hidden; }
.pixels .grid i { background: light-dark(#00456E, #B5E1FF); }
.pixels figcaption { font-size: 0.875rem; line-height: 1.3; padding-top: 0.25rem; }
.stHtml dl.glossary { display: grid; gap: 0.75rem 2rem; margin: 0; padding: 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 22rem), 1fr)); }
dl.glossary div, dl.glossary dt, dl.glossary dd { margin: 0; padding: 0; }
dl.glossary dt { font-weight: 600; }
</style>
"""


def show_digits(facts: words.Facts) -> None:
    """One image of every digit."""
    figures = [
        _figure([[p / 255 for p in row] for row in image], f"A handwritten {i}", small=True)
        for i, image in enumerate(facts["digits"])
    ]
    st.html(f'{STYLE}<div class="pixels">{"".join(figures)}</div>')


def show_layers(facts: words.Facts) -> None:
    """What each criterion keeps of every layer."""
    rows = _layers_rows()
    st.vega_lite_chart(
        rows, _layers_spec(theme()), key="learn-layers", alt=charts.layers_description(rows)
    )


def show_pixels(facts: words.Facts) -> None:
    """What each criterion keeps of every pixel's weights, on one scale."""
    kept = facts["pixels"]["kept"]
    most = max(max(max(row) for row in kept[method]) for method in words.LABELS)
    figures = [
        _figure(
            [[share / most for share in row] for row in kept[method]],
            f"Share of every pixel's weights that {label} keeps",
            label,
        )
        for method, label in words.LABELS.items()
    ]
    bright = _figure(facts["pixels"]["brightness"], "The average digit", "The average digit")
    st.html(f'<div class="pixels">{"".join(figures)}{bright}</div>')


def show_look_ahead(facts: words.Facts) -> None:
    """How the ranking changes with the steps looked ahead."""
    setting = facts["setting"]
    st.vega_lite_chart(
        _ahead_rows(),
        _ahead_spec(setting["steps"], setting["sparsity"], theme()),
        key="learn-ahead",
        alt=charts.ahead_description(facts),
    )


def show_accuracy(facts: words.Facts) -> None:
    """Accuracy of all criteria by sparsity."""
    rows = _accuracy_rows()
    st.vega_lite_chart(
        rows, _accuracy_spec(theme()), key="learn-accuracy", alt=charts.accuracy_description(rows)
    )


@st.fragment
def show_glossary(terms: Mapping[str, str] = TERMS) -> None:
    """All terms, or those that hold what was typed."""
    typed = st.text_input(
        "Find a word", placeholder="such as sparsity", icon=":material/search:", key="glossary"
    )
    part = typed.strip().lower()
    # Those that are called so before those that only mention it.
    found = [t for t in terms if part in t.lower()]
    found += [t for t in terms if t not in found and part in terms[t].lower()]
    if not found:
        st.caption("No matching terms. Clear the field to see all of them.")
        return
    entries = "".join(
        f"<div><dt>{html.escape(term)}</dt><dd>{html.escape(terms[term])}</dd></div>"
        for term in found
    )
    st.html(f'{STYLE}<dl class="glossary">{entries}</dl>')


def _figure(
    shares: Sequence[Sequence[float]], alt: str, caption: str = "", small: bool = False
) -> str:
    cells = "".join(f'<i style="opacity:{share:.2f}"></i>' for row in shares for share in row)
    picture = f'<div class="grid" role="img" aria-label="{html.escape(alt)}">{cells}</div>'
    below = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure{' class=small' if small else ''}>{picture}{below}</figure>"


@st.cache_data(max_entries=1, show_spinner=False)
def _layers_rows() -> pd.DataFrame:
    return charts.layers_table(words.facts(), words.LABELS)


@st.cache_data(max_entries=2, show_spinner=False)
def _layers_spec(colours: Colours) -> Spec:
    layers = len(words.facts()["setting"]["layers"])
    return charts.layers_chart(list(words.LABELS.values()), layers, colours)


@st.cache_data(max_entries=1, show_spinner=False)
def _ahead_rows() -> pd.DataFrame:
    return charts.ahead_table(words.facts())


@st.cache_data(max_entries=2, show_spinner=False)
def _ahead_spec(steps: int, threshold: float, colours: Colours) -> Spec:
    return charts.ahead_chart(steps, threshold, colours)


@st.cache_data(max_entries=1, show_spinner=False)
def _accuracy_rows() -> pd.DataFrame:
    return charts.accuracy_table(words.accuracies(words.facts()), words.LABELS)


@st.cache_data(max_entries=2, show_spinner=False)
def _accuracy_spec(colours: Colours) -> Spec:
    sparsities = [float(at) for at in words.facts()["accuracy"]["pruned"]["prospr"]]
    return charts.accuracy_chart(words.LABELS, sparsities, colours)
