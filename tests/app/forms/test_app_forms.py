"""The form is made from the engine's tables, and its address brings it back."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from app_fakes import new
from streamlit.testing.v1 import AppTest

from app import forms, pages, session
from app.forms import basic_fields
from app.forms.layer_settings import TABLE
from app.forms.run_form import TABS
from app.forms.url_state import LAYERS, key, options_of
from app.presets import PRESETS
from app.ui.labels import OWN_IMAGES, OWN_NETWORK, PATH, label
from prospr_engine.config import GROUPS, RunConfig, settings_of
from prospr_engine.data import DATASETS
from prospr_engine.models import MODELS
from prospr_engine.models.collections import listed_names
from prospr_engine.saliency import METHODS
from prospr_engine.store.store import Store

START = "primary-start"
OWN_TOKEN = "upload:" + "0" * 64 + "/cats.zip"


def config(**changes: Any) -> RunConfig:
    return RunConfig.from_dict(changes)


FEATURED = config(
    model="resnet20",
    data="cifar10",
    sparsity=0.985,
    epochs=7,
    seed=4,
    layer_floor=2,
    layers={"conv1": "dense", "stage1.*": 0.9},
    device="cpu",
    loading={"image_size": 16, "train_limit": 500, "skip_broken": True},
    scoring={"batch_size": 64, "precision": "float64", "options": {"lr": 0.05, "order": "first"}},
    training={"lr": 0.05, "schedule": "step", "momentum": 0.0, "weight_decay": 1e-05},
)
OTHERS = [
    RunConfig(),
    FEATURED,
    config(method="random", sparsity=0.0, epochs=0),
    config(method="magnitude", model="vgg16_bn", data="mnist"),
    config(encodings="dense"),
    config(encodings="compact-fp16,compact,dense"),
    config(kind="channels", channel_budget="operations", channel_multiple=16, sparsity=0.5),
    *(preset.config for preset in PRESETS),
]


def widgets(at: AppTest) -> list[Any]:
    kinds = (
        at.selectbox, at.slider, at.number_input, at.text_input, at.toggle, at.multiselect,
        at.segmented_control,
    )  # fmt: skip
    return [widget for kind in kinds for widget in kind]


def opened(parameters: dict[str, str], visitor: str = "alice") -> AppTest:
    at = new(visitor)
    for name, value in parameters.items():
        at.query_params[name] = value
    return at.run()


def prefilled(at: AppTest, wanted: RunConfig) -> AppTest:
    """The form, after somebody has said "Use these settings" on another page."""
    at.switch_page(pages.RUNS).run()
    at.session_state[session.PREFILL] = wanted
    return at.switch_page(pages.NEW).run()


def started(at: AppTest, store: Store) -> RunConfig:
    """What the button starts."""
    assert not at.exception
    assert not at.button(key=START).disabled, [e.value for e in at.error]
    at.button(key=START).click().run()
    assert not at.exception
    return store.runs()[0].config


def test_every_setting_of_a_run_has_a_widget(at: AppTest):
    wanted = {key(option.name) for option in settings_of(RunConfig)}
    for group, cls in GROUPS.items():
        wanted |= {key(option.name, group) for option in settings_of(cls)}
    wanted |= {key(option.name, "prospr") for option in METHODS["prospr"].options}
    shown = {widget.key for widget in widgets(at)}
    at.segmented_control(key="kind").set_value("channels").run()
    assert shown | {widget.key for widget in widgets(at)} == wanted | {LAYERS, TABLE}
    assert {group for group, _ in TABS.values()} == {*GROUPS, ""}


def test_no_two_settings_share_a_name(at: AppTest):
    labels = [widget.label for widget in widgets(at)]
    assert len(labels) == len(set(labels))
    assert {"Learning rate of the look-ahead", "Learning rate of training"} <= set(labels)
    for method in METHODS:
        names = [key(o.name, method) for o in options_of(method)]
        names += [key(o.name) for o in settings_of(RunConfig)]
        names += [key(o.name, group) for group, cls in GROUPS.items() for o in settings_of(cls)]
        assert len(names) == len(set(names))


def test_every_setting_says_what_it_does(at: AppTest):
    assert [widget.key for widget in widgets(at) if not widget.help] == []


def test_every_row_of_the_tables_can_be_chosen(at: AppTest):
    assert at.selectbox(key="model").options == [
        *(row.label for row in MODELS.values()),
        OWN_NETWORK,
        *listed_names(),
    ]
    assert at.selectbox(key="method").options == [row.label for row in METHODS.values()]
    assert at.selectbox(key="data").options == [
        *(row.label for row in DATASETS.values()),
        OWN_IMAGES,
    ]


def test_an_untouched_form_is_the_default_run(at: AppTest, store: Store):
    assert started(at, store) == RunConfig()


@pytest.mark.parametrize("method", list(METHODS))
def test_the_options_follow_the_criterion(at: AppTest, store: Store, method: str):
    at.selectbox(key="method").select(method).run()
    shown = {widget.key for widget in widgets(at) if widget.key.startswith(key("", method))}
    # The seed of a random criterion is the seed of the run.
    assert shown == {
        key(option.name, method) for option in METHODS[method].options if option.name != "seed"
    }
    assert started(at, store) == RunConfig(method=method)


def test_settings_of_the_other_kind_of_pruning_are_left_out(at: AppTest, store: Store):
    at.number_input(key="layer-floor").set_value(3).run()
    at.segmented_control(key="kind").set_value("channels").run()
    shown = {widget.key for widget in widgets(at)}
    assert not shown & {"layer-floor", "control", "score-check-ranking"}
    assert started(at, store) == RunConfig(kind="channels")


def test_a_criterion_that_ranks_no_channels_is_refused(at: AppTest):
    at.segmented_control(key="kind").set_value("channels").run()
    at.selectbox(key="method").select("grasp").run()
    assert at.button(key=START).disabled
    assert any("ranks single weights only" in error.value for error in at.error)
    at.selectbox(key="method").select("snip").run()
    assert not at.error


@pytest.mark.parametrize("wanted", OTHERS)
def test_an_address_opens_the_same_settings(store: Store, wanted: RunConfig):
    assert started(opened(forms.address(wanted)), store) == wanted


@pytest.mark.parametrize("wanted", OTHERS)
def test_settings_from_another_page_replace_what_was_there(
    at: AppTest, store: Store, wanted: RunConfig
):
    at.number_input(key="epochs").set_value(9).run()
    at.number_input(key="prospr-lr").set_value(0.7).run()
    assert started(prefilled(at, wanted), store) == wanted


@pytest.mark.parametrize(
    ("text", "sparsity"),
    [
        ("0.95", 0.95), ("95", 0.95), ("95%", 0.95), ("95.5", 0.955), ("0.5", 0.5), ("1", 0.01),
        ("0.5%", 0.005), ("0", 0.0), ("99.95", 0.9995), ("0.9995", 0.9995),
    ],
)  # fmt: skip
def test_a_sparsity_in_the_address_is_a_fraction_or_a_percentage(store: Store, text, sparsity):
    at = opened({"sparsity": text})
    assert not at.warning
    assert started(at, store).sparsity == sparsity


@pytest.mark.parametrize("text", ["abc", "100", "-1", "nan", "1e999", ""])
def test_what_is_no_sparsity_is_said(text):
    at = opened({"sparsity": text})
    assert at.slider(key="sparsity").value == 90.0
    assert bool(at.warning) == bool(text)


@pytest.mark.parametrize(("percent", "text"), [(95.0, "0.95"), (0.5, "0.005"), (99.9, "0.999")])
def test_the_slider_writes_a_fraction_that_opens_the_same(at: AppTest, percent, text):
    at.slider(key="sparsity").set_value(percent).run()
    assert at.query_params["sparsity"] == text
    assert opened({"sparsity": text}).slider(key="sparsity").value == percent
    at.slider(key="sparsity").set_value(90.0).run()
    assert "sparsity" not in at.query_params


def test_the_address_is_short_and_can_be_read():
    assert forms.address(RunConfig()) == {}
    query = urlencode(forms.address(FEATURED))
    assert parse_qs(query) == {
        "model": ["ResNet-20"],
        "data": ["CIFAR-10"],
        "sparsity": ["0.985"],
        "epochs": ["7"],
        "seed": ["4"],
        "layer-floor": ["2"],
        "layer": ["conv1=dense, stage1.*=0.9"],
        "device": ["cpu"],
        "image-size": ["16"],
        "train-limit": ["500"],
        "skip-broken": ["true"],
        "score-batch-size": ["64"],
        "score-precision": ["float64"],
        "prospr-lr": ["0.05"],
        "prospr-order": ["first"],
        "train-lr": ["0.05"],
        "train-schedule": ["step"],
        "train-momentum": ["0"],
        "train-weight-decay": ["1e-05"],
    }


def test_a_preset_stands_in_the_address(at: AppTest):
    at.button(key="preset-1").click().run()
    assert dict(at.query_params) == {"sparsity": "0.98", "epochs": "10"}
    at.button(key="preset-0").click().run()
    assert dict(at.query_params) == {}


def test_a_network_of_torchvision_by_its_address(store: Store):
    wanted = config(model="torchvision/resnet18", data="cifar10", weights="pretrained")
    at = opened(forms.address(wanted))
    assert not at.exception
    assert not at.error
    assert not at.button(key=START).disabled
    held = [at.session_state[name] for name in ("model", "data", "weights")]
    assert held == ["torchvision/resnet18", "cifar10", "pretrained"]


@pytest.mark.parametrize(
    "nonsense",
    [
        {"sparsity": "abc", "epochs": "many", "data": "xyz", "device": "cuda:1"},
        {"sparsity": "nan", "epochs": "99999999999999999999999", "method": ""},
        {"sparsity": "150", "model": "", "train-schedule": "never"},
        {"unheard": "of", "epochs": ""},
    ],
)
def test_nonsense_in_the_address_is_the_default(store: Store, nonsense: dict[str, str]):
    assert started(opened(nonsense), store) == RunConfig()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"epochs": "-5"}, "Epochs is -5; give a number of at least 0."),
        ({"seed": "1e999"}, "Seed: the number is too large. Give a smaller one."),
        ({"model": "<script>"}, "There is no model called '<script>'. Choose one from"),
        ({"model": "vgg"}, "'vgg' fits several networks: VGG-16 (batch norm), VGG-19"),
        ({"image-size": "4096"}, "Image size (pixels) is 4096; give a number of at most 1024"),
        ({"data": OWN_IMAGES, "images": "cats.zip"}, "cats.zip cannot be used here: it belongs"),
        ({"model": "smal_cnn"}, "There is no model called 'smal_cnn' (did you mean Small CNN?)"),
        ({"model": "torchvision/alexnet", "data": "CIFAR-10"}, "The network needs larger images"),
    ],
)
def test_what_the_address_asks_in_vain_is_reported(
    store: Store, given: dict[str, str], expected: str
):
    at = opened(given)
    assert not at.exception
    assert at.error[0].value.replace("\\", "").startswith(expected)
    assert at.button(key=START).disabled


def test_names_of_models_are_understood_in_an_address(store: Store):
    assert started(opened({"model": "resnet20"}), store) == RunConfig(model="resnet20")


def test_somebody_elses_upload_is_refused_kindly(at: AppTest, store: Store):
    prefilled(at, config(data=OWN_TOKEN))
    assert not at.exception
    assert "cats.zip cannot be used here" in at.error[0].value
    assert at.button(key=START).disabled


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("train-lr", -1.0, "Learning rate of training is -1; give a number of at least"),
        ("image-size", 4096, "Image size (pixels) is 4096; give a number of at most 1024"),
        ("seed", -3, "Seed is -3; give a number of at least 0"),
    ],
)
def test_a_number_that_misfits_is_reported_and_nothing_starts(
    at: AppTest, name: str, value: float, expected: str
):
    at.number_input(key=name).set_value(value).run()
    assert not at.exception
    assert at.error[0].value.startswith(expected)
    assert at.button(key=START).disabled
    assert any(caption.value.startswith(expected) for caption in at.caption)  # beside the button
    at.number_input(key=name).set_value(None).run()
    assert not at.error
    assert not at.button(key=START).disabled


def test_an_emptied_number_means_the_default(at: AppTest, store: Store):
    at.number_input(key="train-momentum").set_value(None).run()
    assert started(at, store) == RunConfig()


@pytest.mark.parametrize(
    ("typed", "model"), [("wrn", "wrn28_2"), ("LeNet-5", "lenet5"), ("resnet18", "resnet18")]
)
def test_part_of_a_name_is_enough_if_it_fits_one(
    typed: str, model: str, monkeypatch: pytest.MonkeyPatch
):
    held = {"model": typed}
    monkeypatch.setattr(basic_fields.st, "session_state", held)
    basic_fields._complete()
    assert held == {"model": model}


def test_a_device_of_a_run_stays_in_the_choice(at: AppTest):
    assert at.selectbox(key="device").options == ["automatic", "cpu", "cuda"]
    prefilled(at, config(device="cuda:1"))
    assert at.selectbox(key="device").value == "cuda:1"


@pytest.mark.parametrize(
    ("model", "kinds"),
    [
        ("ResNet-20", ["New weights", "Your own weights"]),
        ("torchvision/resnet18", ["New weights", "Trained on ImageNet", "Your own weights"]),
    ],
)
def test_weights_to_start_from_depend_on_the_model(store: Store, model: str, kinds: list[str]):
    at = opened({"model": model, "image-size": "32"})
    assert at.selectbox(key="weights").options == kinds


def test_a_folder_only_where_that_is_allowed(store: Store, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    at = opened({"data": PATH, "folder": "/nowhere"})
    assert at.error[0].value.startswith("There is no file or folder")
    monkeypatch.delenv("PROSPR_ALLOW_PATHS")
    assert started(opened({"data": PATH, "folder": "/nowhere"}), store) == RunConfig()


def test_names_become_words():
    assert label("weight_decay") == "Weight decay"
    assert label("lr") == "Learning rate"


@pytest.mark.parametrize("sparsity", [0.999, 0.9995, 0.99999999])
def test_every_sparsity_of_the_engine_fits(at: AppTest, store: Store, sparsity: float):
    wanted = config(sparsity=sparsity)
    prefilled(at, wanted)
    assert not at.warning
    at.number_input(key="epochs").set_value(4).run()
    assert started(at, store) == config(sparsity=sparsity, epochs=4)
    assert started(opened(forms.address(wanted)), store) == wanted


def test_a_slider_that_reaches_further_keeps_its_place(at: AppTest):
    prefilled(at, config(sparsity=0.9995))
    at.slider(key="sparsity").set_value(50.0).run()
    at.number_input(key="epochs").set_value(4).run()
    assert at.slider(key="sparsity").value == 50.0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"sparsity": "-5"}, "sparsity -5, which cannot be used here; 90\N{NO-BREAK SPACE}% is"),
        ({"sparsity": "nan"}, "sparsity nan, which cannot be used here; 90\N{NO-BREAK SPACE}%"),
        ({"sparsity": "1e999"}, "sparsity 1e999, which cannot be used here; "),
        ({"sparsity": "abc"}, "sparsity abc, which cannot be used here; 90"),
        ({"epochs": "9" * 60}, f"epochs {'9' * 40}…, which cannot be used here; 3 is shown."),
        ({"epochs": "2.5"}, "epochs 2.5, which cannot be used here; "),
        ({"train-lr": "nan"}, "learning rate of training nan, which cannot be used here; au"),
        ({"train-schedule": "evil"}, "learning rate schedule evil, which cannot be used here; co"),
        ({"device": "cuda:7"}, "compute on cuda:7, which cannot be used here; automatic is"),
        ({"data": "[A](x)"}, "data [A](x), which cannot be used here; Digits is shown."),
        ({"data": PATH}, "which cannot be used here; Digits is shown."),
        ({"method": "foo"}, "criterion foo, which cannot be used here; ProsPr is shown."),
        ({"skip-broken": "maybe"}, "skip broken images maybe, which cannot be used here; off is"),
    ],
)
def test_what_an_address_asks_and_the_form_does_not_show_is_reported(
    store: Store, asked: dict[str, str], expected: str
):
    at = opened(asked)
    assert not at.exception
    (warning,) = at.warning
    assert "[A](x)" not in warning.value
    assert expected in warning.value.replace("\\", "")
    assert warning.value.startswith("The address asks for ")
    at.run()
    assert at.warning  # until that setting is changed
    at.number_input(key="epochs").set_value(5).run()
    assert bool(at.warning) == ("epochs" not in asked)


@pytest.mark.parametrize("wanted", OTHERS)
def test_an_address_that_is_met_is_no_news(at: AppTest, store: Store, wanted: RunConfig):
    assert not opened(forms.address(wanted)).warning
    assert not prefilled(at, wanted).warning


def test_settings_that_do_not_fit_the_form_are_reported(at: AppTest):
    prefilled(at, config(weights="pretrained"))
    (warning,) = at.warning
    assert "These settings ask for initial weights Trained on ImageNet" in warning.value
    assert "New weights is shown" in warning.value


@pytest.mark.parametrize("typed", ["cifar10", "CIFAR10", "cifar-10"])
def test_names_of_the_tables_are_understood_in_an_address(store: Store, typed: str):
    at = opened({"data": typed, "method": "random"})
    assert not at.warning
    assert (at.selectbox(key="data").value, at.selectbox(key="method").value) == (
        "cifar10",
        "random",
    )


def test_the_form_says_that_a_compact_file_saves_nothing(store: Store):
    at = opened({"kind": "Channels"})
    assert "No zeros are left" in " ".join(text.value for text in at.caption)
    assert "No zeros are left" not in " ".join(text.value for text in opened({}).caption)


def test_the_forecast_of_channels_is_rough(store: Store):
    def kept(**address: str) -> dict[str, str]:
        return {metric.label: metric.value for metric in opened(address).metric}

    weights = kept()
    assert weights["Weights kept"] == "6,069"
    # Zeros are multiplied like any other number, as the page of such a run says.
    assert weights["Multiply-adds"] == "300,000"
    channels = kept(kind="Channels")
    assert channels["Weights kept"] == "≈ 6,100"
    assert channels["File"].startswith("≈ ")
    assert channels["Multiply-adds kept"] == "≈ 30,000"
    assert kept(kind="Channels", sparsity="0")["Weights kept"] == "60,688"
