"""The form of a search: the goal, and the settings of its runs."""

from __future__ import annotations

import dataclasses
from typing import Any

import streamlit as st

from app import services
from app.forms import layer_settings, run_form, sweep_form, url_state
from app.forms.fields import field
from app.services import EngineError, SearchConfig
from app.ui.format import KILO, to_fraction, to_percent
from app.ui.labels import label
from app.ui.studies import FIRST_SEED, GOALS

GOAL, LOST, KILOBYTES, TRIES = "goal", "most-lost", "most-kilobytes", "tries"
"""Names of the widgets, in the session and in the address."""
ACCURACY, SIZE = GOALS
OWN = ("sparsity", "control")
"""Settings of a run that a search does not have. The run's seed is the first of the search's."""
START = SearchConfig(most_lost=0.01)
"""The initial contents of the form."""
USUAL_KILOBYTES = 100.0
OPTIONS = {option.name: option for option in services.settings_of(SearchConfig)}


def show() -> SearchConfig:
    """Draw the form and return its settings; raises as ``run_form.show`` does."""
    errors: list[EngineError] = []
    goal = _goal(errors)
    run = run_form.network_and_images(errors)
    run |= run_form.method_and_epochs(errors)
    left, right = st.columns(2)
    with left:
        count = sweep_form.seeds()
    with right:
        tries = dataclasses.replace(OPTIONS["most_probes"], name=TRIES, label=label("most_probes"))
        most_probes = field(tries, errors)
    own = run_form.OWN | {"seed": dataclasses.replace(run_form.OWN["seed"], label=FIRST_SEED)}
    options = lambda: run_form.method_options(run["method"], errors)  # noqa: E731
    layers = lambda: layer_settings.show(run["model"], run["data"], errors)  # noqa: E731
    run |= run_form.advanced(errors, options, layers, OWN, own)
    first = run.pop("seed")
    if errors:
        raise errors[0]
    seeds = list(range(first, first + count))
    return SearchConfig.from_dict({"run": run, **goal, "seeds": seeds, "most_probes": most_probes})


def fill(config: SearchConfig) -> None:
    """Fill the form with ``config``. Call before its widgets are drawn."""
    for name, value in values(config).items():
        st.session_state[name] = value


def address(config: SearchConfig) -> dict[str, Any]:
    """The query parameters with which the form shows ``config``."""
    usual = values(
        dataclasses.replace(START, run=dataclasses.replace(START.run, method=config.run.method))
    )
    usual[url_state.key("method")] = START.run.method
    return {
        name: url_state.address_value(name, value)
        for name, value in values(config).items()
        if value != usual.get(name) and value is not None
    }


def values(config: SearchConfig) -> dict[str, Any]:
    """The values of the widgets for ``config``."""
    found = url_state.values_of(config.run)
    for name in OWN:
        del found[url_state.key(name)]
    found |= {
        "seed": config.seeds[0],
        sweep_form.SEEDS: min(sweep_form.MOST_SEEDS, len(config.seeds)),
    }
    found |= {TRIES: config.most_probes, GOAL: ACCURACY if config.about_accuracy else SIZE}
    if config.most_lost is not None:
        found[LOST] = to_percent(config.most_lost)
    if config.most_bytes is not None:
        found[KILOBYTES] = config.most_bytes / KILO
    return found


def names(method: str) -> dict[str, str]:
    """The labels of the settings by widget."""
    return url_state.names((*OWN, "seed"), method) | {
        GOAL: "Goal",
        LOST: GOALS[ACCURACY],
        KILOBYTES: GOALS[SIZE],
        sweep_form.SEEDS: "Seeds",
        "seed": FIRST_SEED,
        TRIES: label("most_probes"),
    }


def _goal(errors: list[EngineError]) -> dict[str, Any]:
    """The goal as settings of a search."""
    goal = st.segmented_control(
        "Goal",
        list(GOALS),
        default=ACCURACY,
        required=True,
        key=GOAL,
        help="The goal for the pruned network. The search tries sparsities until it has found the "
        "highest one that meets the goal, to within about a tenth of the weights kept.",
        bind="query-params",
    )
    if goal == ACCURACY:
        option = dataclasses.replace(
            OPTIONS["most_lost"],
            name=LOST,
            default=to_percent(START.most_lost or 0.0),
            value_type=float,
            label=GOALS[ACCURACY],
            help="points of validation accuracy below the dense network, mean over the seeds",
            optional=False,
            maximum=100.0,
        )
        return {"most_lost": to_fraction(field(option, errors))}
    option = dataclasses.replace(
        OPTIONS["most_bytes"],
        name=KILOBYTES,
        default=USUAL_KILOBYTES,
        value_type=float,
        label=GOALS[SIZE],
        help="kilobytes (1,000 bytes) of the ONNX file in a zip: the file itself stores removed "
        "weights as zeros, so only zipped does it shrink",
        optional=False,
        minimum=0.001,
        maximum=1e9,
    )
    return {"most_bytes": round(KILO * field(option, errors))}
