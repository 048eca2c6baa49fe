"""Settings of single layers in the form: the box, the table that edits it, what does not fit."""

from __future__ import annotations

from typing import Any

import pytest
from app_fakes import new, words
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from app import forms
from app.forms import layer_settings
from app.forms.layer_settings import TABLE, change, setting_of, shown_setting
from app.forms.url_state import LAYERS, layers_text
from app.services import estimates
from app.ui.labels import AUTOMATIC
from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError
from prospr_engine.overrides import check_layers, resolve
from prospr_engine.store.store import Store

START = "primary-start"
SPACE = "\N{NO-BREAK SPACE}"
SMALL = ["0.0", "1.0", "2.0", "3.0", "6"]  # of the small network, which has 60,688 weights
NAMES = [f"{stage}.{conv}.weight" for stage in ("a", "b") for conv in ("x", "y", "z")]
settings = st.one_of(st.just("dense"), st.integers(1, 99999).map(lambda n: n / 100_000))
keys = st.sampled_from([*(name.removesuffix(".weight") for name in NAMES), "*", "a.*", "*.y"])


def opened(**parameters: str) -> AppTest:
    at = new("alice")
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def rows(at: AppTest) -> list[list[Any]]:
    """The table as it is shown."""
    (table,) = at.get("arrow_data_frame") or at.dataframe
    return table.value.values.tolist()


def edited(at: AppTest, place: int, shown: str) -> AppTest:
    """What an edit in the browser does, which the test library cannot send."""
    given = layer_settings.parse(at.text_input(key=LAYERS).value or "")
    names = [f"{path}.weight" for path in SMALL]
    changed = change(given, names, names[place], setting_of(shown))
    at.text_input(key=LAYERS).set_value(layers_text(check_layers(changed))).run()
    assert not at.exception
    return at


def test_without_settings_there_is_no_table_and_the_default_run():
    at = opened()
    assert not at.dataframe
    assert at.text_input(key=LAYERS).value in ("", None)


def test_the_table_lists_the_layers_of_the_network():
    at = opened()
    at.toggle(key=TABLE).set_value(True).run()
    found = rows(at)
    assert [row[0] for row in found] == [f"Layer {i} ({name})" for i, name in enumerate(SMALL, 1)]
    assert [row[1] for row in found] == [144, 4608, 18432, 36864, 640]
    assert {row[2] for row in found} == {AUTOMATIC}
    at.selectbox(key="model").select("resnet20").run()
    assert [row[0] for row in rows(at)][:2] == ["conv1", "stage1.0.conv1"]


def test_an_edit_of_the_table_is_what_is_started(store: Store):
    at = opened()
    at.toggle(key=TABLE).set_value(True).run()
    at = edited(at, 0, "dense")
    at = edited(at, 4, f"50{SPACE}%")
    at = edited(at, 1, f"90{SPACE}%")
    assert at.text_input(key=LAYERS).value == "0.0=dense, 1.0=0.9, 6=0.5"
    shown = ["dense", f"90{SPACE}%", AUTOMATIC, AUTOMATIC, f"50{SPACE}%"]
    assert [row[2] for row in rows(at)] == shown
    at.button(key=START).click().run()
    assert not at.exception
    assert store.runs()[0].config == RunConfig(layers={"0.0": "dense", "1.0": 0.9, "6": 0.5})


def test_an_address_brings_the_settings_back(store: Store):
    wanted = RunConfig(model="resnet20", sparsity=0.95, layers={"conv1": "dense", "fc": 0.985})
    address = forms.address(wanted)
    assert address[LAYERS] == "conv1=dense, fc=0.985"
    at = opened(**address)
    assert rows(at)[0][2] == "dense"  # without a click
    assert rows(at)[-1][2] == f"98.5{SPACE}%"
    at.button(key=START).click().run()
    assert store.runs()[0].config == wanted
    assert LAYERS not in forms.address(RunConfig())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv1=dense", "no layer called 'conv1'"),
        ("0.0=densee", "did you mean 'dense'"),
        ("0.0", "is no setting of a layer"),
        ("0.0=98", "give 0.98"),
        ("0.0=0.5, 0.0=0.6", "listed twice"),
        ("[01]*=0.5; 0*=0.6", "two settings"),
    ],
)
def test_what_is_no_setting_is_said_below_the_box(text, words):
    at = opened(layer=text)
    assert any(words in error.value.replace("\\", "") for error in at.error)
    assert at.button(key=START).disabled


def test_a_contradiction_is_said_before_the_start():
    at = opened(layer="3.0=dense", sparsity="0.9")
    assert any("set a sparsity of at most 0.3925" in e.value.replace("\\", "") for e in at.error)
    assert at.button(key=START).disabled
    at.slider(key="sparsity").set_value(39.0).run()
    assert not at.error
    assert not at.button(key=START).disabled


def test_layers_are_not_known_before_the_images(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(estimates, "images_of", lambda data, size: None)  # of different sizes
    at = opened(layer="a=dense")
    assert "The layers are not known until" in words(at)
    assert not at.dataframe
    assert not at.button(key=START).disabled


@pytest.mark.parametrize("text", ["a=dense,b.*=0.98", " b.* = 98 % ;\n a=DENSE,", "a=0,b.*=0.98"])
def test_a_text_is_read(text):
    assert layer_settings.parse(text) == {"a": "dense", "b.*": 0.98}


@given(st.dictionaries(keys, settings, max_size=4))
def test_a_text_says_all_of_its_settings(layers):
    assert layer_settings.parse(layers_text(check_layers(layers))) == layers


@given(st.dictionaries(keys, settings, max_size=3), st.sampled_from(NAMES), settings | st.none())
def test_a_change_of_a_layer_leaves_the_others_alone(layers, name, own):
    try:
        before = resolve(layers, NAMES)
    except ConfigError:
        return
    after = resolve(change(layers, NAMES, name, own), NAMES)
    assert after.pop(name, None) == own
    before.pop(name, None)
    assert after == before


@given(settings | st.none())
def test_what_the_table_shows_is_read_again(own):
    assert setting_of(shown_setting(own)) == own
