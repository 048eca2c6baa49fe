"""The form is made from the engine's tables: nothing is missing, nothing is invented."""

from __future__ import annotations

import pytest
from app_fakes import FakeLine, new
from streamlit.testing.v1 import AppTest

from app import forms
from app.forms import TABS
from app.text.labels import label
from prospr_engine.config import GROUPS, RunConfig, settings_of
from prospr_engine.data import DATASETS
from prospr_engine.models import MODELS
from prospr_engine.saliency import METHODS


def keys(at: AppTest) -> set[str]:
    widgets = (at.selectbox, at.slider, at.number_input, at.text_input, at.toggle)
    return {widget.key for kind in widgets for widget in kind}


def test_every_setting_of_a_run_has_a_widget(at: AppTest):
    wanted = {option.name for option in settings_of(RunConfig)}
    for group, cls in GROUPS.items():
        wanted |= {f"{group}.{option.name}" for option in settings_of(cls)}
    wanted |= {f"option.prospr.{option.name}" for option in METHODS["prospr"].options}
    assert keys(at) == {f"form.{name}" for name in wanted}
    assert {group for group, _ in TABS.values()} == set(GROUPS)


def test_every_row_of_the_tables_can_be_chosen(at: AppTest):
    assert len(at.selectbox(key="form.model").options) == len(MODELS)
    assert len(at.selectbox(key="form.method").options) == len(METHODS)
    labels = at.selectbox(key="form.data").options
    assert len(labels) == len(DATASETS)
    assert labels[0] == "Digits"
    assert all("download" in text for text in labels[1:])


def test_an_untouched_form_is_the_default_run(at: AppTest, line: FakeLine):
    at.button(key="primary-start").click().run()
    assert line.jobs[0].config == RunConfig()
    assert line.jobs[0].config.fingerprint == RunConfig().fingerprint


@pytest.mark.parametrize("method", list(METHODS))
def test_the_options_follow_the_criterion(at: AppTest, line: FakeLine, method: str):
    at.selectbox(key="form.method").select(method).run()
    shown = {key.rsplit(".", 1)[1] for key in keys(at) if key.startswith("form.option.")}
    # The seed of a random criterion is the seed of the run.
    assert shown == {option.name for option in METHODS[method].options} - {"seed"}
    at.button(key="primary-start").click().run()
    assert line.jobs[0].config == RunConfig(method=method)


def test_an_emptied_number_means_the_default(at: AppTest, line: FakeLine):
    at.number_input(key="form.training.momentum").set_value(None).run()
    assert not at.exception
    at.button(key="primary-start").click().run()
    assert line.jobs[0].config == RunConfig()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("training.lr", -1.0, "Learning rate of the training is -1; give a number of at least"),
        ("loading.image_size", 4096, "Image size (pixels) is 4096; give a number of at most 1024"),
        ("seed", -3, "Seed is -3; give a number of at least 0"),
    ],
)
def test_a_number_that_misfits_is_told_and_nothing_starts(
    at: AppTest, name: str, value: float, told: str
):
    at.number_input(key=f"form.{name}").set_value(value).run()
    assert not at.exception
    assert at.error[0].value.startswith(told)
    assert at.button(key="primary-start").disabled
    assert any(caption.value.startswith(told) for caption in at.caption)  # beside the button
    at.number_input(key=f"form.{name}").set_value(None).run()
    assert not at.error
    assert not at.button(key="primary-start").disabled


def test_no_two_settings_are_called_the_same(at: AppTest):
    kinds = (at.selectbox, at.slider, at.number_input, at.text_input, at.toggle)
    labels = [widget.label for kind in kinds for widget in kind]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize(
    ("typed", "model"), [("wrn", "wrn28_2"), ("LeNet-5", "lenet5"), ("resnet18", "resnet18")]
)
def test_part_of_a_name_is_enough_if_it_fits_one(
    typed: str, model: str, monkeypatch: pytest.MonkeyPatch
):
    held = {"form.model": typed}
    monkeypatch.setattr(forms.st, "session_state", held)
    forms._complete()
    assert held == {"form.model": model}


def test_part_of_several_names_asks_which(line: FakeLine):
    line.start(RunConfig(model="vgg")).end("stopped")
    at = new()
    at.query_params["run"] = line.jobs[0].id
    at.run()
    assert at.error[0].value.replace("\\", "") == (
        "'vgg' fits several networks: VGG-16 (batch norm), VGG-19 (batch norm). Choose one of them."
    )
    assert at.button(key="primary-start").disabled


def test_a_device_of_a_run_stays_in_the_choice(line: FakeLine, at: AppTest):
    assert at.selectbox(key="form.device").options == ["automatic", "cpu", "cuda"]
    line.start(RunConfig(device="cuda:1")).end("stopped")
    again = new()
    again.query_params["run"] = line.jobs[0].id
    again.run()
    assert again.selectbox(key="form.device").value == "cuda:1"


def test_changed_settings_arrive_in_the_run(at: AppTest, line: FakeLine):
    at.number_input(key="form.loading.image_size").set_value(32).run()
    at.toggle(key="form.loading.skip_broken").set_value(True).run()
    at.selectbox(key="form.training.schedule").select("step").run()
    at.number_input(key="form.option.prospr.lr").set_value(0.05).run()
    at.button(key="primary-start").click().run()
    config = line.jobs[0].config
    assert config.loading.image_size == 32
    assert config.loading.skip_broken
    assert config.training.schedule == "step"
    assert config.scoring.options == {"lr": 0.05}


def test_names_become_words():
    assert label("weight_decay") == "Weight decay"
    assert label("lr") == "Learning rate"
