from __future__ import annotations

import pytest

from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError
from prospr_engine.models import MODELS
from prospr_engine.registry import Option, Registry, Spec, check_options
from prospr_engine.saliency import METHODS, MethodSpec

WHOLE = Option("steps", 3, "steps", minimum=0, maximum=10)
REAL = Option("lr", 0.1, "rate", minimum=0.0)
CHOICE = Option("order", "exact", "order", choices=("exact", "first"))
YES = Option("flag", False, "flag")
MAYBE = Option("size", None, "size", optional=True, value_type=int)


@pytest.mark.parametrize(
    ("option", "given", "value"),
    [
        (WHOLE, "4", 4),
        (WHOLE, 4.0, 4),
        (REAL, "1e-3", 1e-3),
        (REAL, 1, 1.0),
        (CHOICE, "first", "first"),
        (YES, "yes", True),
        (YES, False, False),
        (MAYBE, None, None),
        (MAYBE, "8", 8),
    ],
)
def test_values_are_converted(option, given, value):
    checked = option.check(given)
    assert checked == value
    assert type(checked) is type(value)


@pytest.mark.parametrize(
    ("option", "given", "words"),
    [
        (WHOLE, 1.5, "whole number"),
        (WHOLE, "three", "whole number"),
        (WHOLE, -1, "at least 0"),
        (WHOLE, 11, "at most 10"),
        (WHOLE, True, "give a number"),
        (WHOLE, None, "whole number"),
        (REAL, "nan", "finite"),
        (REAL, float("inf"), "finite"),
        (REAL, [], "give a number"),
        (CHOICE, "frist", "did you mean 'first'"),
        (CHOICE, 3, "give text"),
        (YES, "perhaps", "true or false"),
    ],
)
def test_misfits_are_answered_with_a_sentence(option, given, words):
    with pytest.raises(ConfigError, match=words):
        option.check(given)


def test_unknown_options_are_named_with_the_nearest_known_one():
    with pytest.raises(ConfigError, match=r"no option 'stepz' in this \(did you mean 'steps'\?\)"):
        check_options((WHOLE, REAL), {"stepz": 1}, "this")
    assert check_options((WHOLE, REAL), {"lr": "2"}, "this") == {"steps": 3, "lr": 2.0}


@pytest.mark.parametrize("table", [METHODS, MODELS, DATASETS], ids=lambda table: table.noun)
def test_every_row_is_complete_and_frozen(table):
    assert len(table) == len(set(table)) > 0
    for name, spec in table.items():
        assert spec.name == name
        assert spec.label
        assert spec.description
        assert callable(spec.load())
        with pytest.raises(AttributeError):
            spec.name = "other"
    with pytest.raises(TypeError):
        table["new"] = spec


def test_defaults_pass_their_own_checks():
    for spec in METHODS.values():
        for option in spec.options:
            assert option.check(option.default) == option.default
            assert option.help


def test_a_name_nearly_right_is_suggested():
    with pytest.raises(ConfigError, match="did you mean 'magnitude'"):
        METHODS.find("magnitud")
    with pytest.raises(ConfigError, match="Known: "):
        METHODS.find("xyz")


def noise(*_args, **_options):
    return "noise"


def own_row(**changes):
    return MethodSpec(**{"name": "mine", "label": "Mine", "description": "Own."} | changes)


@pytest.fixture
def table():
    return Registry("method", tuple(METHODS.values()), reserved=("none",))


@pytest.mark.parametrize("target", [noise, f"{__name__}:noise"], ids=["function", "name"])
def test_a_registered_row_is_found_like_the_others(table, target):
    spec = own_row(target=target)
    assert table.register(spec) is spec
    assert list(table) == [*METHODS, "mine"]
    assert table.find("mine").load()() == "noise"
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        table.find("minee")


def test_a_name_in_use_is_replaced_only_on_demand(table):
    table.register(own_row(target=noise))
    with pytest.raises(ConfigError, match="called 'mine' already"):
        table.register(own_row(target=noise, label="Other"))
    table.register(own_row(target=noise, label="Other"), replace=True)
    assert table["mine"].label == "Other"
    assert list(table).index("mine") == len(METHODS)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Spec("mine", "Mine", "Own.", noise), "give a MethodSpec"),
        ("mine", "give a MethodSpec"),
        (own_row(target=noise, name="My method"), "lower-case"),
        (own_row(target=noise, name=3), "lower-case"),
        (own_row(target=noise, name="none"), "no method"),
        (own_row(target=noise, label=" "), "no label"),
        (own_row(target=noise, description=""), "no description"),
        (own_row(target="nowhere"), "package.module:function"),
        (own_row(target=None), "package.module:function"),
        (own_row(target=noise, options=(WHOLE, WHOLE)), "two options"),
        (own_row(target=noise, options=("steps",)), "give an Option"),
        (own_row(target=noise, options=(Option("n", 0, "n", minimum=1),)), "at least 1"),
    ],
)
def test_a_wrong_row_is_refused_with_a_sentence(table, spec, words):
    with pytest.raises(ConfigError, match=words):
        table.register(spec)
    assert list(table) == list(METHODS)


def test_registering_does_not_disturb_who_is_iterating(table):
    for name in table:
        if name == "snip":
            table.register(own_row(target=noise))
    assert "mine" in table
