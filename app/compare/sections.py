"""What a comparison shows up close, at one sparsity: the one table ``SECTIONS``.

A new chart is one file, with functions from the results to a table and from its plan to a chart,
and one row here. ``details`` draws and keeps whatever the rows make.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import streamlit as st

from app.charts import series_style
from app.charts.colours import Colours
from app.charts.spec import Spec
from app.compare import classes_chart, curves_chart, layers_chart, overlap_chart
from app.compare import detail_words as words
from app.compare.filters import OPEN
from app.compare.overlap_layers import show_overlap_layers
from app.services import Run, analysis
from app.services.compared_results import Results, results
from app.services.overlap import Likeness, likeness

Lines = dict[str, list[Run]]
"""The runs of a comparison at one sparsity, by the name of their line."""


@dataclass(frozen=True)
class Made:
    """The ``data`` of a chart, what decides its looks (hashable; None: there is nothing to
    draw), and the chart and what it shows in words."""

    data: pd.DataFrame
    plan: Any
    alt: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """A chart and its words. ``name`` stands in addresses; ``icon`` is one of Material Symbols.

    ``read(lines)`` gets what the section is about, and how much of it there is. ``make`` gets
    that and the rows of the comparison at this sparsity; ``chart(plan, colours)`` draws. Both are
    pure: what they return is kept. ``more`` draws what follows the chart.
    """

    name: str
    title: str
    icon: str
    make: Callable[[Any, pd.DataFrame], Made]
    chart: Callable[[Any, Colours], Spec]
    read: Callable[[Lines], tuple[int, Any]]
    fewest_lines: int = 1
    """It says nothing of fewer."""
    more: Callable[[Any], None] | None = None

    @property
    def key(self) -> str:
        """Of the box that opens and closes it, and of the parameter of the address."""
        return f"{OPEN}{self.name}"


def read_results(lines: Lines) -> tuple[int, Results]:
    """The results as far as they are there; says how many are not."""
    with st.spinner("Reading the results"):
        found, gone = results(lines)
    if gone:
        several = "result is" if gone == 1 else "results are"
        st.caption(f"{gone:,} {several} not on the server any more.")
    return sum(map(len, found.values())), found


def read_overlap(lines: Lines) -> tuple[int, Sequence[Likeness]]:
    """How much the masks of every two lines have in common."""
    found = likeness(lines)
    return len(found), found


def _curves(found: Results, there: pd.DataFrame) -> Made:
    data = curves_chart.table(analysis.curves(found))
    plan = None if data.empty else curves_chart.plan(data, series_style.looks(there))
    return Made(data, plan, curves_chart.description(data), tuple(words.curves(data)))


def _layers(found: Results, there: pd.DataFrame) -> Made:
    data = layers_chart.table(analysis.layers(found))
    alt = layers_chart.description(data)
    return Made(data, layers_chart.plan(data), alt, tuple(words.layers(data)))


def _overlap(found: Sequence[Likeness], there: pd.DataFrame) -> Made:
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
        title="How they learned",
        icon="show_chart",
        make=_curves,
        chart=lambda plan, colours: curves_chart.chart(plan, colours),
        read=read_results,
    ),
    Section(
        name="layers",
        title="What they keep in each layer",
        icon="stacks",
        make=_layers,
        chart=lambda plan, colours: layers_chart.chart(plan, colours),
        read=read_results,
    ),
    Section(
        name="overlap",
        title="Which weights they have in common",
        icon="join_inner",
        make=_overlap,
        chart=lambda plan, colours: overlap_chart.chart(plan, colours),
        read=read_overlap,
        fewest_lines=2,
        more=show_overlap_layers,
    ),
    Section(
        name="classes",
        title="Which classes pay",
        icon="category",
        make=_classes,
        chart=lambda plan, colours: classes_chart.chart(plan, colours),
        read=read_results,
    ),
)
