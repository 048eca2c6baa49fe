"""Weights kept in each layer, at the run's own sparsity or at another one, set by a slider."""

from __future__ import annotations

import dataclasses

import streamlit as st

from app import pages, session
from app.run.channels import show_channels
from app.run.file_sizes import show_sizes
from app.run.mask_view import show_mask
from app.services import METHODS, EngineError, PruningRecord, Run, RunRecord, runs, scores
from app.services.scores import Cut, Ranking
from app.ui.bounds import MOST_SPARSE
from app.ui.findings import plain, show_error, show_findings
from app.ui.format import percent, scientific, to_fraction, to_percent
from app.ui.glossary import TERMS
from app.ui.plots import show_histogram, show_layers
from app.ui.share_slider import share_slider
from prospr_engine.report.charts.layers import label

AT = "at"
"""The slider's name, in the address too."""
OF = "at-of"
ALL = "All layers"
FIELD = 200  # pixels


def show_explore(run: Run, result: RunRecord) -> None:
    """The section of a finished run's page. Only this part is redrawn when the slider moves."""
    if st.session_state.setdefault(OF, run.id) != run.id:
        # Do not keep the position of another run's slider.
        st.session_state[OF] = run.id
        st.session_state.pop(AT, None)
        st.query_params.pop(AT, None)
    if result.pruning.structure:
        show_channels(result.pruning)
    else:
        _explore(run, result)


@st.fragment
def _explore(run: Run, result: RunRecord) -> None:
    st.markdown("### Weights kept in each layer", help=TERMS["mask"])
    try:
        ranking, config = scores.ranking(run), run.config
    except EngineError as error:
        st.caption(plain(str(error)))
        show_layers(result.pruning.layers, key="layers")
        show_findings(result.pruning)
        return
    own, sparsity = True, config.sparsity
    if ranking.target is None:
        own, sparsity = _slider(config.sparsity)
    else:
        _offer_other_sparsity(run)
    try:
        cut = ranking.cut(sparsity, config.layer_floor, config.layers)
    except EngineError as error:
        show_error(error)
        return
    if not own:
        _offer(run, sparsity)
    st.markdown(_kept(cut, ranking))
    bars, findings = st.empty(), st.container()
    with bars.container():
        show_layers(result.pruning.layers if own else scores.layers(ranking, cut), key="layers")
    if ranking.target is None:
        show_sizes(run, result, cut, own)
    _show_scores(run, ranking, cut)
    st.markdown("#### Which weights are kept", help=TERMS["mask"])
    show_mask(ranking, cut)
    # Last, because it takes longest: the rest is visible meanwhile.
    with findings:
        examined = result.pruning if own else _examined(run, result, sparsity)
        if examined is None:
            return
        show_findings(examined)
    if not own:
        # Again: only now is it known what is cut off.
        with bars.container():
            show_layers(examined.layers, key="layers")


def _slider(trained: float) -> tuple[bool, float]:
    """The sparsity that is set, and whether it is the run's own."""
    there = round(to_percent(trained), 4)
    at = share_slider(
        "Weights removed",
        AT,
        max(MOST_SPARSE, there),
        there,
        help=f"{TERMS['sparsity']} Move it to see what any other sparsity would keep.",
        digits=4,
    )
    # The exact number of the settings, not the one rounded for the slider.
    return (True, trained) if at == there else (False, to_fraction(at))


def _offer(run: Run, sparsity: float) -> None:
    """Say that this sparsity was not trained, and offer to train it."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"Trained at {percent(run.config.sparsity)}; shown at {percent(sparsity)}: the masks "
            "at this sparsity, without training.",
            width="content",
        )
        _train(run, sparsity, "primary-train-here")


def _offer_other_sparsity(run: Run) -> None:
    """For scores that are only valid at one sparsity: offer a run at another one."""
    row = METHODS.get(run.config.method)
    st.caption(
        f"{row.label if row else 'This criterion'} prunes in rounds towards one sparsity, here "
        f"{percent(run.config.sparsity)}. To see another one, start a run with it."
    )
    there = round(to_percent(run.config.sparsity), 4)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        at = st.number_input(
            "Weights removed (%)",
            0.0,
            max(MOST_SPARSE, there),
            there,
            0.1,
            format="%.4g",
            key=AT,
            help=TERMS["sparsity"],
            width=FIELD,
        )
        _train(run, to_fraction(at), "primary-train-elsewhere", known=at == there)


def _train(run: Run, sparsity: float, key: str, known: bool = False) -> None:
    """A button that starts the same run at ``sparsity``. ``known``: that is this run."""
    if st.button(
        f"Train at {percent(sparsity)}",
        type="primary",
        icon=":material/play_arrow:",
        key=key,
        disabled=known,
        help="This run was trained at this sparsity; choose another."
        if known
        else "A new run with the same settings and this sparsity.",
    ):
        try:
            config = dataclasses.replace(run.config, sparsity=sparsity)
            new = runs.start(config, session.visitor())
        except EngineError as error:
            show_error(error)
            return
        st.switch_page(pages.RUN, query_params=pages.to_run(new.id))


def _kept(cut: Cut, ranking: Ranking) -> str:
    share = percent(cut.kept / ranking.total)
    return f"**{cut.kept:,} of {ranking.total:,} weights kept ({share}).**"


def _show_scores(run: Run, ranking: Ranking, cut: Cut) -> None:
    st.markdown("#### Score threshold", help=f"{TERMS['histogram']} {TERMS['threshold']}")
    names = {layer.name: label(layer.name, i) for i, layer in enumerate(ranking.layers, 1)}
    chosen = st.selectbox(
        "Scores of",
        # Not None, which would make the box clearable.
        ["", *names],
        format_func=lambda name: names.get(name, ALL),
        key="scores-of",
        help=TERMS["score"],
    )
    shown = scores.histogram(run, chosen)
    layer = f"layer {names[chosen]}" if chosen else "all layers"
    threshold = ranking.threshold(cut, chosen)
    show_histogram(shown, threshold, layer, key="histogram")
    text = f"The threshold is {scientific(threshold)}, the lowest score kept."
    if shown.zeros:
        why = "exactly zero" if ranking.target is None else "zero, mostly from earlier rounds"
        text += f" {shown.zeros:,} scores are {why} and not shown (log axis)."
    if cut.layer_floor:
        text += f" Every layer keeps its best {cut.layer_floor:,} weights in any case."
    if cut.layers and not chosen:
        text += " Layers that were set by hand have thresholds of their own."
    st.caption(text)


def _examined(run: Run, result: RunRecord, sparsity: float) -> PruningRecord | None:
    try:
        return scores.examine(run, result, sparsity)
    except EngineError as error:
        show_error(error)
        return None
