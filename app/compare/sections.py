"""The details of a comparison at one sparsity: the table ``SECTIONS``.

A new chart is one file, with functions from the results to a table and from its plan to a chart,
and one row here. ``details`` draws and caches them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from app.charts import series_style
from app.charts.spec import Spec
from app.compare import classes_chart, curves_chart, layers_chart, overlap_chart
from app.compare import detail_words as words
from app.compare.filters import OPEN
from app.compare.overlap_layers import show_overlap_layers
from app.services import Run, analysis
from app.services.compared_results import Results, results
from app.services.overlap import MaskOverlap, mask_overlaps
from prospr_engine.report.charts.colours import Colours

Lines = dict[str, list[Run]]
"""The runs of a comparison at one sparsity, by series."""


@dataclass(frozen=True)
class Made:
    """The ``data`` of a chart; the ``plan`` that decides its looks (hashable; None if there is
    nothing to draw); its alt text and caption."""

    data: pd.DataFrame
    plan: Any
    alt: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A chart and its caption. ``name`` appears in addresses; ``icon`` is a Material Symbol.

    ``read(lines)`` returns how many items there are, and the items. ``make`` takes these and the
    rows of the comparison at this sparsity; ``chart(plan, colours)`` draws. Both are pure, and
    their results are cached. ``more`` draws what follows the chart.
    """

    name: str
    title: str
    icon: str
    make: Callable[[Any, pd.DataFrame], Made]
    chart: Callable[[Any, Colours], Spec]
    read: Callable[[Lines], tuple[int, Any]]
    fewest_lines: int = 1
    """Series below which the section is left out."""
    more: Callable[[Any], None] | None = None

    @property
    def key(self) -> str:
        """Key of its expander, which is also the query parameter."""
        return f"{OPEN}{self.name}"


def read_results(lines: Lines) -> tuple[int, Results]:
    """The results that still exist, and how many; shows how many are missing."""
    with st.spinner("Reading the results"):
        found, gone = results(lines)
    if gone:
        results_are = "result is" if gone == 1 else "results are"
        st.caption(f"{gone:,} {results_are} no longer on the server.")
    return sum(map(len, found.values())), found


def read_overlap(lines: Lines) -> tuple[int, Sequence[MaskOverlap]]:
    """The overlap of the masks of every two series."""
    found = mask_overlaps(lines)
    return len(found), found


def _curves(found: Results, there: pd.DataFrame) -> Made:
    data = curves_chart.table(analysis.curves(found))
    plan = None if data.empty else curves_chart.plan(data, series_style.looks(there))
    return Made(data, plan, curves_chart.description(data), tuple(words.curves(data)))


def _layers(found: Results, there: pd.DataFrame) -> Made:
    data = layers_chart.table(analysis.layers(found))
    alt = layers_chart.description(data)
    return Made(data, layers_chart.plan(data), alt, tuple(words.layers(data)))


def _overlap(found: Sequence[MaskOverlap], there: pd.DataFrame) -> Made:
    names = tuple(there["series"].unique())
    data = overlap_chart.table(found, names)
    plan = names if data["jaccard"].notna().any() else None
    return Made(data, plan, overlap_chart.description(data), tuple(words.overlap(data)))


def _classes(found: Results, there: pd.DataFrame) -> Made:
    means = analysis.classes(found)
    data = classes_chart.table(means)
    sentences = words.classes(data, classes_chart.left_out(means, data))
    plan = None if data.empty else classes_chart.plan(data)
    return Made(data, plan, classes_chart.description(data), tuple(sentences))


SECTIONS: tuple[Section, ...] = (
    Section(
        name="curves",
        title="Training curves",
        icon="show_chart",
        make=_curves,
        chart=lambda plan, colours: curves_chart.chart(plan, colours),
        read=read_results,
    ),
    Section(
        name="layers",
        title="Weights kept in each layer",
        icon="stacks",
        make=_layers,
        chart=lambda plan, colours: layers_chart.chart(plan, colours),
        read=read_results,
    ),
    Section(
        name="overlap",
        title="Overlap of masks",
        icon="join_inner",
        make=_overlap,
        chart=lambda plan, colours: overlap_chart.chart(plan, colours),
        read=read_overlap,
        fewest_lines=2,
        more=show_overlap_layers,
    ),
    Section(
        name="classes",
        title="Which classes lose accuracy",
        icon="category",
        make=_classes,
        chart=lambda plan, colours: classes_chart.chart(plan, colours),
        read=read_results,
    ),
)
