"""The form of a sweep: what it compares, and the settings that all its runs share."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from app import services
from app.forms import layer_settings, number_list, run_form, url_state
from app.forms.fields import field
from app.presets import SWEEPS
from app.services import (
    CHANNELS,
    CONTROLS,
    METHODS,
    NO_CONTROL,
    WEIGHTS,
    ConfigError,
    EngineError,
    Option,
    SweepConfig,
    is_control,
)
from app.ui.findings import show_error
from app.ui.format import SPACE, plural, to_fraction, to_percent
from app.ui.glossary import TERMS
from app.ui.labels import KINDS as KIND_LABELS
from app.ui.labels import label
from app.ui.studies import FIRST_SEED

CRITERIA, SPARSITIES, SEEDS, STEPS, ADDED_CONTROLS, KINDS = (
    "methods",
    "sparsities",
    "seeds",
    "ahead",
    "controls",
    "kinds",
)
"""Names of the widgets, in the session and in the address."""
SHARED = "option"
"""The group of options that several criteria share."""
USUAL = (50.0, 80.0, 90.0, 95.0, 98.0, 99.0)  # % removed
MOST_SEEDS = 10
OWN_DEFAULTS = "each has its own"
OWN = ("method", "sparsity", "control", "kind")
"""Settings of a run that a sweep compares. The run's seed is the first of the sweep's."""

START = SWEEPS[0].config
"""The initial contents of the form."""


def show() -> SweepConfig:
    """Draw the form and return its settings; raises as ``run_form.show`` does."""
    errors: list[EngineError] = []
    run = run_form.network_and_images(errors)
    kinds = _kinds(errors)
    methods = _methods(errors)
    _check_kinds(methods, kinds, errors)
    sparsities = _sparsities(errors)
    left, right = st.columns(2)
    with left:
        count = seeds()
    with right:
        run["epochs"] = field(run_form.OWN["epochs"], errors)
    controls = _controls() if WEIGHTS in kinds else []
    steps = _steps(errors) if any(METHODS[name].looks_ahead for name in methods) else []
    own = run_form.OWN | {"seed": dataclasses.replace(run_form.OWN["seed"], label=FIRST_SEED)}
    if kinds[1:]:
        own |= _of_one_kind()
    layers = partial(layer_settings.show, run["model"], run["data"], errors)
    without = (*OWN, *run_form.foreign(kinds))
    run |= run_form.advanced(errors, lambda: _options(methods, errors), layers, without, own)
    first = run.pop("seed")
    if errors:
        raise errors[0]
    return SweepConfig.from_dict(
        {
            "run": run,
            "methods": methods,
            "sparsities": [to_fraction(percent) for percent in sparsities],
            "seeds": list(range(first, first + count)),
            "steps": [int(number) for number in steps],
            "controls": [NO_CONTROL, *controls],
            "kinds": kinds,
        }
    )


def fill(config: SweepConfig) -> None:
    """Fill the form with ``config``. Call before its widgets are drawn."""
    for name, value in values(config).items():
        st.session_state[name] = value


def address(config: SweepConfig) -> dict[str, str | list[str]]:
    """The query parameters with which the form shows ``config``."""
    usual = values(dataclasses.replace(START, methods=config.methods)) | {
        CRITERIA: list(START.methods)
    }
    return {
        name: url_state.address_value(name, value)
        for name, value in values(config).items()
        if value != usual.get(name) and value not in (None, [], "")
    }


def values(config: SweepConfig) -> dict[str, Any]:
    """The values of the widgets for ``config``."""
    found = url_state.run_values(config.run, without=(*OWN, "seed"))
    given = config.run.scoring.options
    for option, _ in shared(config.methods):
        value = given.get(option.name, option.default)
        found[url_state.key(option.name, SHARED)] = url_state.widget_value(option, value)
    return found | {
        CRITERIA: list(config.methods),
        SPARSITIES: number_list.joined(
            [to_percent(share) for share in config.sparsities], percent=True
        ),
        SEEDS: min(MOST_SEEDS, len(config.seeds)),
        "seed": config.seeds[0],
        STEPS: number_list.joined(config.steps),
        ADDED_CONTROLS: [name for name in config.controls if is_control(name)],
        KINDS: list(config.kinds),
    }


def names(methods: Sequence[str]) -> dict[str, str]:
    """The labels of the settings by widget."""
    return url_state.names(without=(*OWN, "seed")) | {
        CRITERIA: "Criteria",
        SPARSITIES: "Sparsities",
        SEEDS: "Seeds",
        "seed": FIRST_SEED,
        STEPS: label("steps"),
        ADDED_CONTROLS: "Controls",
        KINDS: label("kind"),
        **{url_state.key(o.name, SHARED): o.label for o, _ in shared(methods)},
    }


def shared(methods: Sequence[str]) -> Iterator[tuple[Option, str]]:
    """Each option of the criteria once, labelled with the criteria that have it, and the
    placeholder of its box. An empty box means each criterion's own default, so that changing the
    criteria never turns a default into a setting."""
    found: dict[str, dict[str, Option]] = {}
    for method in methods:
        for option in url_state.options_of(method):
            if option.role != services.STEPS:
                found.setdefault(option.name, {})[method] = option
    for name, options in found.items():
        first = next(iter(options.values()))
        defaults = {option.default for option in options.values()}
        owners = " / ".join(METHODS[method].label for method in options)
        option = dataclasses.replace(
            first, label=f"{first.label or label(name, SHARED)} ({owners})"
        )
        if first.kind is not bool:
            option = dataclasses.replace(option, default=None, optional=True, value_type=first.kind)
        yield (
            option,
            f"{first.default:g}"
            if len(defaults) == 1 and first.kind in (int, float)
            else OWN_DEFAULTS,
        )


def seeds() -> int:
    """The number of seeds."""
    count: int = st.slider(
        "Seeds",
        1,
        MOST_SEEDS,
        len(START.seeds),
        key=SEEDS,
        bind="query-params",
        help=f"{TERMS['seed']} More seeds make error bars smaller; one seed gives none.",
    )
    return count


def _kinds(errors: list[EngineError]) -> list[str]:
    chosen = st.pills(
        label("kind"),
        list(KIND_LABELS),
        selection_mode="multi",
        default=list(START.kinds),
        format_func=KIND_LABELS.__getitem__,
        key=KINDS,
        help=f"{TERMS['kind of pruning']} With both, each criterion is run once for each.",
        bind="query-params",
    )
    kinds = [name for name in KIND_LABELS if name in chosen]
    if not kinds:
        _show_missing("Choose what to remove: weights, channels or both.", errors)
    return kinds


def _of_one_kind() -> dict[str, Option]:
    """The settings of the run that concern one kind of pruning, with labels that say which."""
    return {
        name: dataclasses.replace(
            run_form.OWN[name], label=f"{label(name)} ({KIND_LABELS[kind].lower()} only)"
        )
        for kind, others in ((CHANNELS, WEIGHTS), (WEIGHTS, CHANNELS))
        for name in run_form.NOT_FOR[others]
        if name in run_form.OWN
    }


def _check_kinds(methods: Sequence[str], kinds: Sequence[str], errors: list[EngineError]) -> None:
    """Say so if no criterion can rank what is to be removed."""
    able = [spec.label for spec in METHODS.values() if spec.channels]
    if CHANNELS in kinds and methods and not any(METHODS[name].channels for name in methods):
        which = plural(len(methods), "This criterion ranks", "These criteria rank")
        _show_missing(
            f"{which} single weights only. To remove channels, add one of {', '.join(able)}.",
            errors,
        )


def _methods(errors: list[EngineError]) -> list[str]:
    chosen = st.pills(
        "Criteria",
        list(METHODS),
        selection_mode="multi",
        default=list(START.methods),
        format_func=lambda name: METHODS[name].label,
        key=CRITERIA,
        help=f"{TERMS['criterion']} Each selected criterion is run at every sparsity.",
        bind="query-params",
    )
    with st.expander("What these criteria do", icon=":material/help:"):
        st.markdown(
            "\n".join(f"- **{spec.label}**: {spec.description}" for spec in METHODS.values())
        )
    # In the order of the table, whatever the order of the clicks.
    methods = [name for name in METHODS if name in chosen]
    if not methods:
        _show_missing("Choose at least one criterion.", errors)
    return methods


def _sparsities(errors: list[EngineError]) -> list[float]:
    def check(percent: float) -> float:
        if not 0 <= percent < 100:
            raise ConfigError(
                f"{percent:g}{SPACE}% is not a possible sparsity: give percentages from 0 to "
                "below 100."
            )
        return percent

    found = number_list.number_picker(
        "Sparsities",
        SPARSITIES,
        USUAL,
        [to_percent(share) for share in START.sparsities],
        errors,
        check,
        help=f"{TERMS['sparsity']} Pick some, or type your own.",
        box_label=f"Or type a list, in{SPACE}%",
        empty_message="Choose at least one sparsity.",
        percent=True,
    )
    if number_list.parse(st.session_state[SPARSITIES] or "", check)[0] != found:
        st.caption(
            f"Numbers below 1 are fractions: 0.9 is 90{SPACE}%. For less than 1{SPACE}%, add the "
            f"sign: 0.5{SPACE}%."
        )
    return found


def _controls() -> list[str]:
    chosen = st.pills(
        "Controls to add",
        list(CONTROLS),
        selection_mode="multi",
        format_func=lambda name: CONTROLS[name].label,
        key=ADDED_CONTROLS,
        help=f"{TERMS['control']} Each adds one run per combination of which weights are removed.",
        bind="query-params",
    )
    return [name for name in CONTROLS if name in chosen]


def _steps(errors: list[EngineError]) -> list[float]:
    option = next(o for spec in METHODS.values() for o in spec.options if o.role == services.STEPS)
    name = label("steps")

    def check(number: float) -> float:
        try:
            return float(option.check(number))
        except EngineError as error:
            raise ConfigError(name + str(error).removeprefix(option.name)) from None

    return number_list.number_box(
        name,
        STEPS,
        errors,
        check,
        help=f"{TERMS['steps']} The sweep compares all numbers listed here; the default is "
        f"{option.default}.",
        placeholder=str(option.default),
    )


def _options(methods: Sequence[str], errors: list[EngineError]) -> Mapping[str, Any]:
    given = {o: field(o, errors, SHARED, empty) for o, empty in shared(methods)}
    return {option.name: value for option, value in given.items() if value != option.default}


def _show_missing(sentence: str, errors: list[EngineError]) -> None:
    show_error(sentence)
    errors.append(ConfigError(sentence))
