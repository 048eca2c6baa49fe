"""The form of a search: the goal, and the settings of its runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from app import services
from app.forms import basic_fields, layer_settings, run_form, sweep_form, url_state
from app.forms.fields import field
from app.services import CHANNELS, ConfigError, EngineError, Goal, SearchConfig
from app.ui.findings import show_error
from app.ui.format import KILO, MEGA, to_fraction, to_percent
from app.ui.labels import KINDS, label
from app.ui.studies import FIRST_SEED, GOALS

GOAL, LOST, KILOBYTES, TRIES = "goal", "most-lost", "most-kilobytes", "tries"
MILLIONS, MILLISECONDS = "most-million-operations", "most-ms"
"""Names of the widgets, in the session and in the address."""
OWN = ("sparsity", "control")
"""Settings of a run that a search does not have. The run's seed is the first of the search's."""
START = SearchConfig(most_lost=0.01)
"""The initial contents of the form."""
OPTIONS = {option.name: option for option in services.settings_of(SearchConfig)}


@dataclass(frozen=True)
class Box:
    """The box of a goal: its ``key``, the ``default`` and the bounds in the unit of the box, and
    the setting from that number and the other way round."""

    key: str
    default: float
    help: str
    maximum: float
    minimum: float
    to_setting: Callable[[float], float]
    from_setting: Callable[[float], float]


BOXES = {
    "most_lost": Box(
        LOST,
        to_percent(START.most_lost or 0.0),
        "points of validation accuracy below the dense network, mean over the seeds",
        100.0,
        0.0,
        to_fraction,
        to_percent,
    ),
    "most_bytes": Box(
        KILOBYTES,
        100.0,
        "kilobytes (1,000 bytes) of the ONNX file in a zip: the file itself stores removed weights "
        "as zeros, so only zipped does it shrink",
        1e9,
        0.001,
        lambda kilobytes: round(KILO * kilobytes),
        lambda bytes: bytes / KILO,
    ),
    "most_operations": Box(
        MILLIONS,
        0.1,
        "million multiply-adds that the network needs for one image",
        1e9,
        1e-6,
        lambda millions: round(MEGA * millions),
        lambda operations: operations / MEGA,
    ),
    "most_ms": Box(
        MILLISECONDS,
        0.05,
        "milliseconds that the ONNX file needs for one image in ONNX Runtime, on the machine that "
        "computes the runs",
        1e6,
        0.001,
        float,
        float,
    ),
}
GOAL_OF = dict(zip(GOALS, services.GOALS, strict=True))
LABEL_OF = {goal.setting: label for label, goal in GOAL_OF.items()}


def show() -> SearchConfig:
    """Draw the form and return its settings; raises as ``run_form.show`` does."""
    errors: list[EngineError] = []
    goal, limit = _goal(errors)
    run = run_form.network_and_images(errors)
    run["kind"] = basic_fields.kind()
    _check_goal(goal, run["kind"], errors)
    run |= run_form.method_and_epochs(errors)
    run_form.check_kind(run["method"], run["kind"], errors)
    left, right = st.columns(2)
    with left:
        count = sweep_form.seeds()
    with right:
        tries = dataclasses.replace(OPTIONS["most_probes"], name=TRIES, label=label("most_probes"))
        most_probes = field(tries, errors)
    own = run_form.OWN | {"seed": dataclasses.replace(run_form.OWN["seed"], label=FIRST_SEED)}
    options = lambda: run_form.method_options(run["method"], errors)  # noqa: E731
    layers = partial(layer_settings.show, run["model"], run["data"], errors)
    without = (*OWN, *run_form.foreign([run["kind"]]))
    run |= run_form.advanced(errors, options, layers, without, own)
    first = run.pop("seed")
    if errors:
        raise errors[0]
    seeds = list(range(first, first + count))
    return SearchConfig.from_dict({"run": run, **limit, "seeds": seeds, "most_probes": most_probes})


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
    box = BOXES[config.goal.setting]
    return found | {
        TRIES: config.most_probes,
        GOAL: LABEL_OF[config.goal.setting],
        box.key: box.from_setting(config.limit),
    }


def names(method: str) -> dict[str, str]:
    """The labels of the settings by widget."""
    return url_state.names((*OWN, "seed"), method) | {
        GOAL: "Goal",
        **{BOXES[setting].key: GOALS[label] for setting, label in LABEL_OF.items()},
        sweep_form.SEEDS: "Seeds",
        "seed": FIRST_SEED,
        TRIES: label("most_probes"),
    }


def _goal(errors: list[EngineError]) -> tuple[Goal, dict[str, Any]]:
    """The goal, and its limit as a setting of the search."""
    chosen = st.segmented_control(
        "Goal",
        list(GOALS),
        default=next(iter(GOALS)),
        required=True,
        key=GOAL,
        help="The goal for the pruned network. The search tries sparsities until it has found the "
        "highest one that meets the goal (of size, multiply-adds and latency, the lowest one), to "
        "within about a tenth of the weights kept.",
        bind="query-params",
    )
    goal = GOAL_OF[chosen]
    box = BOXES[goal.setting]
    option = dataclasses.replace(
        OPTIONS[goal.setting],
        name=box.key,
        default=box.default,
        value_type=float,
        label=GOALS[chosen],
        help=box.help,
        optional=False,
        minimum=box.minimum,
        maximum=box.maximum,
    )
    return goal, {goal.setting: box.to_setting(field(option, errors))}


def _check_goal(goal: Goal, kind: str, errors: list[EngineError]) -> None:
    """Say so if the goal cannot be met by what is removed."""
    if goal.needs_channels and kind != CHANNELS:
        problem = ConfigError(
            "Removed weights become zeros, which are computed like any other number: that saves no "
            f"multiply-adds and no time. For this goal, remove {KINDS[CHANNELS].lower()}."
        )
        show_error(problem)
        errors.append(problem)
