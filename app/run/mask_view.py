"""The mask of one layer: a map of its channels. A click shows the kernels there."""

from __future__ import annotations

import streamlit as st

from app.run import mask_chart as charts
from app.services.scores import Cut, Ranking
from app.ui.format import fixed_percent
from app.ui.glossary import TERMS
from app.ui.plots import clicked, show_picture, theme
from prospr_engine.report.charts.layers import label

OUT, INTO = "mask-out", "mask-in"


def show_mask(ranking: Ranking, cut: Cut) -> None:
    """The mask of a selected layer, and the kernels of a selected block of it."""
    names = {layer.name: label(layer.name, i) for i, layer in enumerate(ranking.layers, 1)}
    largest = max(range(len(names)), key=lambda i: ranking.layers[i].total)
    # Two boxes select a block without a click on the map.
    first, second, third = st.columns([2, 1, 1])
    with first:
        name = st.selectbox(
            "Layer", list(names), largest, format_func=names.__getitem__, key="mask-layer",
            help=TERMS["layer"],
        )  # fmt: skip
    mask = ranking.mask(name, cut)
    out, into = charts.blocks(mask.shape)
    row, column = charts.fullest(mask)
    with second:
        top = _box("Output channels", out, row, OUT, name)
    with third:
        left = _box("Input channels", into, column, INTO, name)
    block = (top.start, top.stop, left.start, left.stop)
    words = charts.description(mask)
    st.markdown(f"{_size(mask.shape)} {words}")
    # Side by side where there is room; Streamlit stacks columns on narrow screens.
    beside = st.columns(2, gap="medium")
    with beside[0]:
        _show_map(name, mask, block, f"Mask of layer {names[name]}, by channel. {words}")
    with beside[1]:
        _show_kernels(name, mask, ranking, block)


def _show_map(name: str, mask: charts.Mask, block: charts.Block, words: str) -> None:
    out, into, *_ = charts.four(mask.shape)
    whole = block == (0, out, 0, into)
    rows, most = charts.map_rows(mask, None if whole else block, theme())
    key = f"mask-{name}-{st.session_state.get(_count(name), 0)}"
    st.markdown("**All channels**")
    show_picture(
        rows,
        charts.AXES,
        charts.CHANNEL_TIPS,
        key,
        words,
        on_click=None if whole else lambda: _take_click(key, name, mask.shape),
    )
    st.caption(_shades(most, mask[0, 0].size if mask.ndim > 1 else 1))


def _show_kernels(name: str, mask: charts.Mask, ranking: Ranking, block: charts.Block) -> None:
    text = charts.block_description(mask, block)
    rows, tips = charts.block_rows(mask, ranking.scores(name), block, theme())
    kernel = charts.kernel(mask.shape)
    st.markdown(f"**Kernels of {kernel} weights**" if kernel else "**Individual weights**")
    show_picture(rows, charts.AXES, tips, f"kernels-{name}", text)
    st.caption(f"{text} Blue: kept. Grey: removed.")


def _box(title: str, parts: list[range], first: int, box: str, name: str) -> range:
    place = st.selectbox(
        title,
        range(len(parts)),
        first,
        format_func=lambda i: charts.span(parts[i].start, parts[i].stop),
        key=f"{box}-{name}",
        disabled=len(parts) == 1,
        on_change=_forget_click,
        args=(name,),
    )
    return parts[place]


def _take_click(key: str, name: str, shape: tuple[int, ...]) -> None:
    cell = clicked(key)
    if cell is None:
        return
    for box, parts, channel in zip((OUT, INTO), charts.blocks(shape), cell, strict=True):
        inside = (i for i, part in enumerate(parts) if channel in part)
        st.session_state[f"{box}-{name}"] = next(inside, 0)


def _forget_click(name: str) -> None:
    """Replace the map, so that another click on the same cell has an effect."""
    st.session_state[_count(name)] = st.session_state.get(_count(name), 0) + 1


def _count(name: str) -> str:
    return f"mask-count-{name}"


def _size(shape: tuple[int, ...]) -> str:
    out, into = (*shape, 1)[:2]
    kernel = charts.kernel(shape)
    channels = f"{out:,} output by {into:,} input channels"
    return f"{channels}, kernels of {kernel}." if kernel else f"{channels}."


def _shades(most: float, weights: int) -> str:
    if not most:
        return "Grey: none kept."
    if weights == 1 and most == 1:
        return "Blue: kept. Grey: removed."
    share = fixed_percent(most, 0)
    return f"Darker blue: more kept (up to {share}). Grey: none."
