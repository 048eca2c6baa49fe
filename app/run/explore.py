"""What a run kept, at its own sparsity or at another one, set by a slider: the layers beside the
files, and below them the details, one tab each."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import streamlit as st

from app.run.another import start_another
from app.run.channels import show_channels
from app.run.file_sizes import show_sizes
from app.run.mask_view import show_mask
from app.services import METHODS, EngineError, PruningRecord, Run, RunRecord, scores
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
EXACT = "at-exact"
"""The box beside the slider."""
BESIDE = (5, 2)
"""The widths of the slider and the box."""
ALL = "All layers"
FIELD = 200  # pixels
WIDTHS = (11, 9)  # of the layers and of what is beside them
PART = "part"
"""The open tab."""
WHICH, SIZES = "Which weights", "File size"
Show = Callable[[], None]


def show_explore(
    run: Run, result: RunRecord, beside: Show | None = None, parts: Mapping[str, Show] | None = None
) -> None:
    """The middle of a finished run's page: the layers, what is ``beside`` them, and below a tab for
    each of further ``parts``. Only this is redrawn when the slider moves."""
    if st.session_state.setdefault(OF, run.id) != run.id:
        # Do not keep the position of another run's slider.
        st.session_state[OF] = run.id
        st.session_state.pop(AT, None)
        st.query_params.pop(AT, None)
    _explore(run, result, beside, parts or {})


@st.fragment
def _explore(run: Run, result: RunRecord, beside: Show | None, parts: Mapping[str, Show]) -> None:
    left, right = st.columns(WIDTHS, gap="large") if beside else (st.container(), None)
    with left:
        explored = _show_layers(run, result)
    if beside and right:
        with right:
            beside()
    own_parts: dict[str, Show] = {}
    if explored:
        ranking, cut, own = explored
        own_parts[WHICH] = lambda: _show_weights(run, ranking, cut)
        if ranking.target is None:
            own_parts[SIZES] = lambda: show_sizes(run, result, cut, own)
    _show_parts({**own_parts, **parts})


def _show_parts(parts: Mapping[str, Show]) -> None:
    if not parts:
        return
    # Only what is seen is computed and drawn.
    tabs = st.tabs(list(parts), key=PART, on_change="rerun")
    for tab, show in zip(tabs, parts.values(), strict=True):
        if tab.open:
            with tab:
                show()


Explored = tuple[Ranking, Cut, bool]
"""The ranking, what is kept at the sparsity shown, and whether that is the run's own."""


def _show_layers(run: Run, result: RunRecord) -> Explored | None:
    """The bars of the layers and what they mean; None if no other sparsity can be shown."""
    if result.pruning.structure:
        show_channels(result.pruning)
        return None
    st.markdown("### Weights kept in each layer", help=TERMS["mask"])
    try:
        ranking, config = scores.ranking(run), run.config
    except EngineError as error:
        st.caption(plain(str(error)))
        show_layers(result.pruning.layers, key="layers")
        show_findings(result.pruning)
        return None
    own, sparsity = True, config.sparsity
    if ranking.target is None:
        own, sparsity = _slider(config.sparsity)
    else:
        _offer_other_sparsity(run)
    try:
        cut = ranking.cut(sparsity, config.layer_floor, config.layers)
    except EngineError as error:
        show_error(error)
        return None
    st.markdown(_kept(cut, ranking))
    # Below the bars, so that they stay where they are.
    bars, offer, findings = st.empty(), st.container(), st.container()
    with bars.container():
        show_layers(result.pruning.layers if own else scores.layers(ranking, cut), key="layers")
    with findings:
        examined = result.pruning if own else _examined(run, result, sparsity)
        if examined is not None:
            show_findings(examined)
    if not own:
        if examined is not None:
            # Again: only now is it known what is cut off.
            with bars.container():
                show_layers(examined.layers, key="layers")
        with offer:
            _offer(run, sparsity, examined)
    return ranking, cut, own


def _show_weights(run: Run, ranking: Ranking, cut: Cut) -> None:
    st.markdown("### Which weights are kept", help=TERMS["mask"])
    show_mask(ranking, cut)
    _show_scores(run, ranking, cut)


def _slider(trained: float) -> tuple[bool, float]:
    """The sparsity that is set, and whether it is the run's own."""
    there = round(to_percent(trained), 4)
    most = max(MOST_SPARSE, there)
    left, right = st.columns(BESIDE, vertical_alignment="bottom")
    with left:
        at = share_slider(
            "Weights removed",
            AT,
            most,
            there,
            help=f"{TERMS['sparsity']} Move it to see what any other sparsity would keep.",
            digits=4,
        )
    st.session_state[EXACT] = at
    with right:
        st.number_input(
            "Weights removed (%)",
            0.0,
            most,
            step=0.1,
            format="%.4g",
            key=EXACT,
            on_change=_take_exact,
            label_visibility="collapsed",
        )
    # The exact number of the settings, not the one rounded for the slider.
    return (True, trained) if at == there else (False, to_fraction(at))


def _take_exact() -> None:
    """Move the slider to what was typed."""
    st.session_state[AT] = st.session_state[EXACT]


def _reset() -> None:
    """Move the slider back to where the run was trained."""
    st.session_state.pop(AT, None)
    st.query_params.pop(AT, None)


def _offer(run: Run, sparsity: float, examined: PruningRecord | None) -> None:
    """Say that this sparsity was not trained, and offer to train it or to go back."""
    trained = percent(run.config.sparsity)
    # Nobody should be led to train a network that cannot learn.
    dead = examined is not None and any(found.level == "danger" for found in examined.findings)
    st.caption(
        f"Trained at {trained}; shown at {percent(sparsity)}: the masks at this sparsity, without "
        "training."
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        _train(run, sparsity, "train-here" if dead else "primary-train-here", main=not dead)
        st.button(
            f"Back to {trained}",
            icon=":material/undo:",
            key="at-reset",
            on_click=_reset,
        )


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


def _train(run: Run, sparsity: float, key: str, known: bool = False, main: bool = True) -> None:
    """A button that starts the same run at ``sparsity``. ``known``: that is this run. ``main``: it
    is what most will want next."""
    if st.button(
        f"Train at {percent(sparsity)}",
        type="primary" if main else "secondary",
        icon=":material/play_arrow:",
        key=key,
        disabled=known,
        help="This run was trained at this sparsity; choose another."
        if known
        else "A new run with the same settings and this sparsity.",
    ):
        start_another(run, lambda config: dataclasses.replace(config, sparsity=sparsity))


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
