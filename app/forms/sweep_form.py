"""The form of a sweep: what is compared, and what all its runs share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import streamlit as st

from app import services
from app.forms import number_list, run_form, url_state
from app.forms.fields import field
from app.presets import SWEEPS
from app.services import (
    CONTROLS,
    METHODS,
    NO_CONTROL,
    ConfigError,
    EngineError,
    Option,
    SweepConfig,
    is_control,
)
from app.ui.findings import show_error
from app.ui.format import SPACE, to_fraction, to_percent
from app.ui.glossary import TERMS
from app.ui.labels import label
from app.ui.studies import FIRST_SEED

CRITERIA, SPARSITIES, SEEDS, STEPS, BESIDES = (
    "methods",
    "sparsities",
    "seeds",
    "ahead",
    "controls",
)
"""Names of the widgets, in the session and in the address."""
SHARED = "option"
"""The group of options that several criteria have."""
USUAL = (50.0, 80.0, 90.0, 95.0, 98.0, 99.0)  # % removed
MOST_SEEDS = 10
OWN_DEFAULTS = "each has its own"
OWN = ("method", "sparsity", "control")
"""Settings of a run that a sweep compares; its seed is the first of the sweep's."""

START = SWEEPS[0].config
"""What the form shows at first."""


def show() -> SweepConfig:
    """Draw the form and return its settings. Raises ``EngineError`` if one of them cannot be
    used: what stands beside it, in full where a closed tab may hide it."""
    faults: list[EngineError] = []
    run = run_form.network_and_images(faults)
    methods = _methods(faults)
    sparsities = _sparsities(faults)
    left, right = st.columns(2)
    with left:
        count = seeds()
    with right:
        run["epochs"] = field(run_form.OWN["epochs"], faults)
    controls = _controls()
    steps = _steps(faults) if any(METHODS[name].looks_ahead for name in methods) else []
    own = run_form.OWN | {"seed": dataclasses.replace(run_form.OWN["seed"], label=FIRST_SEED)}
    run |= run_form.advanced(faults, lambda: _options(methods, faults), OWN, own)
    first = run.pop("seed")
    if faults:
        raise faults[0]
    return SweepConfig.from_dict(
        {
            "run": run,
            "methods": methods,
            "sparsities": [to_fraction(percent) for percent in sparsities],
            "seeds": list(range(first, first + count)),
            "steps": [int(number) for number in steps],
            "controls": [NO_CONTROL, *controls],
        }
    )


def fill(config: SweepConfig) -> None:
    """Let the form show ``config``, whatever it showed. Before its widgets are drawn."""
    for name, value in values(config).items():
        st.session_state[name] = value


def address(config: SweepConfig) -> dict[str, str | list[str]]:
    """The parameters of the address under which the form shows ``config``."""
    usual = values(dataclasses.replace(START, methods=config.methods)) | {
        CRITERIA: list(START.methods)
    }
    return {
        name: url_state.spelled(name, value)
        for name, value in values(config).items()
        if value != usual.get(name) and value not in (None, [], "")
    }


def values(config: SweepConfig) -> dict[str, Any]:
    """What the widgets hold when the form shows ``config``."""
    told = url_state.of_run(config.run, without=(*OWN, "seed"))
    given = config.run.scoring.options
    for option, _ in shared(config.methods):
        value = given.get(option.name, option.default)
        told[url_state.key(option.name, SHARED)] = url_state.shown(option, value)
    return told | {
        CRITERIA: list(config.methods),
        SPARSITIES: number_list.spelled([to_percent(share) for share in config.sparsities]),
        SEEDS: min(MOST_SEEDS, len(config.seeds)),
        "seed": config.seeds[0],
        STEPS: number_list.spelled(config.steps),
        BESIDES: [name for name in config.controls if is_control(name)],
    }


def called(methods: Sequence[str]) -> dict[str, str]:
    """What the settings are called on screen, by the names of their widgets."""
    return url_state.names(without=(*OWN, "seed")) | {
        CRITERIA: "Criteria",
        SPARSITIES: "Sparsities",
        SEEDS: "Seeds",
        "seed": FIRST_SEED,
        STEPS: label("steps"),
        BESIDES: "Controls",
        **{url_state.key(o.name, SHARED): o.label for o, _ in shared(methods)},
    }


def shared(methods: Sequence[str]) -> Iterator[tuple[Option, str]]:
    """The options of the criteria, each once, called after those that have it; and what stands in
    its box while it is empty. Empty means that each criterion has its own default: another choice
    of criteria must not make a setting of what was a default."""
    found: dict[str, dict[str, Option]] = {}
    for method in methods:
        for option in url_state.options_of(method):
            if option.role != services.STEPS:
                found.setdefault(option.name, {})[method] = option
    for name, options in found.items():
        first = next(iter(options.values()))
        defaults = {option.default for option in options.values()}
        whose = " / ".join(METHODS[method].label for method in options)
        called = dataclasses.replace(first, label=f"{first.label or label(name, SHARED)} ({whose})")
        if first.kind is not bool:
            called = dataclasses.replace(called, default=None, optional=True, value_type=first.kind)
        yield (
            called,
            f"{first.default:g}"
            if len(defaults) == 1 and first.kind in (int, float)
            else OWN_DEFAULTS,
        )


def seeds() -> int:
    """How many seeds."""
    count: int = st.slider(
        "Seeds",
        1,
        MOST_SEEDS,
        len(START.seeds),
        key=SEEDS,
        bind="query-params",
        help=f"{TERMS['seed']} More seeds, smaller error bars; with one there are none.",
    )
    return count


def _methods(faults: list[EngineError]) -> list[str]:
    chosen = st.pills(
        "Criteria",
        list(METHODS),
        selection_mode="multi",
        default=list(START.methods),
        format_func=lambda name: METHODS[name].label,
        key=CRITERIA,
        help=f"{TERMS['criterion']} Every one that is chosen is run at every sparsity.",
        bind="query-params",
    )
    with st.expander("What they judge by", icon=":material/help:"):
        st.markdown(
            "\n".join(f"- **{spec.label}**: {spec.description}" for spec in METHODS.values())
        )
    # In the order of the table, whatever the order of the clicks.
    methods = [name for name in METHODS if name in chosen]
    if not methods:
        _missing("Choose at least one criterion.", faults)
    return methods


def _sparsities(faults: list[EngineError]) -> list[float]:
    def check(percent: float) -> float:
        if not 0 <= percent < 100:
            raise ConfigError(
                f"{percent:g}{SPACE}% is not a possible sparsity: give percentages from 0 to "
                "below 100."
            )
        return percent

    found = number_list.picked(
        "Sparsities",
        SPARSITIES,
        USUAL,
        [to_percent(share) for share in START.sparsities],
        faults,
        check,
        help=f"{TERMS['sparsity']} Pick some, or type your own into the box.",
        own=f"As a list, with your own, in{SPACE}%",
        none="Choose at least one sparsity.",
        unit=f"{SPACE}%",
    )
    if any(0 < percent < 1 for percent in found):
        st.caption("These are percentages: for nine weights in ten, give 90 and not 0.9.")
    return found


def _controls() -> list[str]:
    chosen = st.pills(
        "Controls to add",
        list(CONTROLS),
        selection_mode="multi",
        format_func=lambda name: CONTROLS[name].label,
        key=BESIDES,
        help=f"{TERMS['control']} Each adds one run per combination.",
        bind="query-params",
    )
    return [name for name in CONTROLS if name in chosen]


def _steps(faults: list[EngineError]) -> list[float]:
    option = next(o for spec in METHODS.values() for o in spec.options if o.role == services.STEPS)
    name = label("steps")

    def check(number: float) -> float:
        try:
            return float(option.check(number))
        except EngineError as error:
            raise ConfigError(name + str(error).removeprefix(option.name)) from None

    return number_list.listed(
        name,
        STEPS,
        faults,
        check,
        help=f"{TERMS['steps']} Several numbers are compared with each other; empty: "
        f"{option.default}.",
        placeholder=str(option.default),
    )


def _options(methods: Sequence[str], faults: list[EngineError]) -> Mapping[str, Any]:
    given = {o: field(o, faults, SHARED, empty) for o, empty in shared(methods)}
    return {option.name: value for option, value in given.items() if value != option.default}


def _missing(sentence: str, faults: list[EngineError]) -> None:
    show_error(sentence)
    faults.append(ConfigError(sentence))
