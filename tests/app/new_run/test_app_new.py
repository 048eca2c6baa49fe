"""The first page: what it says before a run, beside one, and when something is in the way."""

from __future__ import annotations

import re

import pytest
from app_fakes import finished, found, new, running, words
from streamlit.testing.v1 import AppTest

from app import pages
from app.forms.words import HOW, steps
from app.presets import PRESETS
from app.services import store as store_service
from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError, StoreError
from prospr_engine.store.schema import connect
from prospr_engine.store.store import Store

SPACE = "\N{NO-BREAK SPACE}"

START = "primary-start"


def metrics(at: AppTest) -> dict[str, tuple[str, str]]:
    return {metric.label: (metric.value, metric.delta) for metric in at.metric}


def links_to(at: AppTest) -> list[str]:
    return [link.proto.query_string for link in at.get("page_link")]


def test_the_empty_page_says_what_will_happen(at: AppTest):
    assert not at.exception
    assert [title.value for title in at.title] == ["Prune before training"]
    assert at.markdown[0].value == HOW
    assert "What happens when you press the button" in words(at)
    assert "to share these settings" in words(at)
    assert not links_to(at)
    assert not at.button(key=START).disabled


def test_what_it_will_take_moves_with_the_slider(at: AppTest):
    before = metrics(at)
    assert before == {
        "Time": (f"under 10{SPACE}s", "both networks"),
        "Weights kept": ("6,069", "of 60,688"),
        "Multiply-adds": ("300,000", "per image, as before"),
        "File": (f"254{SPACE}kB", f"≈ 37{SPACE}kB zipped"),
        "File (compact)": (f"45{SPACE}kB", f"≈ 31{SPACE}kB zipped"),
    }
    at.slider(key="sparsity").set_value(50.0).run()
    after = metrics(at)
    assert after["Weights kept"] == ("30,344", "of 60,688")
    assert after["Multiply-adds"] == before["Multiply-adds"]
    # Zeros take room until they are zipped.
    assert after["File"] == (f"254{SPACE}kB", f"≈ 137{SPACE}kB zipped")
    assert after["Time"] == before["Time"]


def test_every_figure_and_preset_is_explained(at: AppTest):
    assert all(metric.proto.help for metric in at.metric)
    assert "61,050 parameters" in at.metric[1].proto.help
    assert all(at.button(key=f"preset-{n}").help for n in range(len(PRESETS)))


def test_the_button_starts_what_was_chosen_and_opens_its_page(at: AppTest, store: Store):
    at.selectbox(key="model").select("resnet20").run()
    at.slider(key="sparsity").set_value(98.5).run()
    at.number_input(key="epochs").set_value(7).run()
    at.button(key=START).click().run()
    assert not at.exception
    (run,) = store.runs()
    assert run.owner == "alice"
    assert (run.config.model, run.config.sparsity, run.config.epochs) == ("resnet20", 0.985, 7)
    assert dict(at.query_params) == pages.to_run(run.id)


@pytest.mark.parametrize("number", range(len(PRESETS)))
def test_a_preset_is_a_click_away(at: AppTest, store: Store, number: int):
    at.number_input(key="seed").set_value(5).run()
    at.button(key=f"preset-{number}").click().run()
    icons = [at.button(key=f"preset-{n}").proto.icon for n in range(len(PRESETS))]
    assert [bool(icon) for icon in icons] == [n == number for n in range(len(PRESETS))]
    at.button(key=START).click().run()
    assert store.runs()[0].config == PRESETS[number].config


def test_the_papers_setting_is_that_of_the_publications():
    config = PRESETS[-1].config
    # 160 to 200 epochs of SGD, 0.1 divided by ten at 50 % and 75 %, momentum 0.9, weight
    # decay 5e-4, batches of 256; M = 3, α = 0.1, μ = 0 on one batch of 128.
    training = config.training
    assert (training.batch_size, training.lr, training.schedule) == (256, 0.1, "step")
    assert (training.momentum, training.weight_decay, config.epochs) == (0.9, 5e-4, 200)
    assert (config.scoring.batch_size, config.scoring.batches) == (128, 1)
    assert config.scoring.options == {}
    assert config.fingerprint == "b41b3c681295b671"


def test_the_papers_setting_is_reported_to_be_long(at: AppTest):
    at.button(key=f"preset-{len(PRESETS) - 1}").click().run()
    assert re.fullmatch(r"≈ (\d+ days|\d+\.?\d?.h)", metrics(at)["Time"][0])
    assert "The first use downloads 170 MB." in words(at)


def test_the_first_preset_is_the_form_as_it_opens(at: AppTest):
    assert PRESETS[0].config == RunConfig()
    assert at.button(key="preset-0").proto.icon


def test_what_was_run_before_is_reported(at: AppTest, store: Store):
    run = finished(store, "alice")
    at.run()
    assert "You ran this just now: the button opens the result." in words(at)
    at.button(key=START).click().run()
    assert dict(at.query_params) == pages.to_run(run.id)
    assert len(store.runs()) == 1


def test_what_somebody_else_ran_is_there_at_once(at: AppTest, store: Store):
    finished(store, "bob")
    at.run()
    assert "its result opens at once" in words(at)
    assert not links_to(at)  # it is not Alice's
    at.slider(key="sparsity").set_value(50.0).run()
    assert "at once" not in words(at)


def test_a_run_in_progress_is_offered_and_not_started_twice(at: AppTest, store: Store):
    run = running(store, "alice")
    at.run()
    assert "A run with these settings is in progress: the button opens it." in words(at)
    assert "Your run is" in words(at)
    assert "1 run is ahead of yours" not in words(at)  # it is this one
    assert links_to(at) == [f"id={run.id}"]
    at.slider(key="sparsity").set_value(50.0).run()
    assert "1 run is ahead of yours. Runs are computed one at a time." in words(at)
    at.slider(key="sparsity").set_value(90.0).run()
    at.button(key=START).click().run()
    assert len(store.runs()) == 1


def test_the_latest_run_is_offered(at: AppTest, store: Store):
    finished(store, "alice", RunConfig(seed=1))
    run = finished(store, "alice", RunConfig(sparsity=0.98))
    at.run()
    assert "Your latest run: done" in words(at)
    assert links_to(at) == [f"id={run.id}"]


def test_the_way_back_from_a_run_brings_the_settings_back(at: AppTest, store: Store):
    at.number_input(key="epochs").set_value(7).run()
    at.button(key=START).click().run()
    # As Streamlit leaves the address of this page behind in the browser's history, and what it
    # makes of an address without the form's own parameters.
    at.switch_page(pages.NEW)
    at.session_state["epochs"] = RunConfig().epochs
    at.query_params[pages.ID] = store.runs()[0].id
    at.run()
    assert not at.exception
    assert pages.ID not in at.query_params
    assert at.number_input(key="epochs").value == 7


def test_a_full_queue_is_reported_and_the_settings_stay(
    at: AppTest, store: Store, monkeypatch: pytest.MonkeyPatch
):
    def full(*arguments: object) -> None:
        raise ResourceError("You have 3 runs waiting. Wait for one, or stop one.")

    running(store, "bob")
    at.number_input(key="epochs").set_value(7).run()
    assert "1 run is ahead of yours" in words(at)
    monkeypatch.setattr(store, "submit", full)
    at.button(key=START).click().run()
    assert at.error[0].value == "You have 3 runs waiting. Wait for one, or stop one."
    assert "ahead of yours" not in words(at)
    assert at.number_input(key="epochs").value == 7


def test_a_store_that_cannot_be_used_is_reported_in_a_sentence(monkeypatch: pytest.MonkeyPatch):
    def broken() -> Store:
        raise StoreError("The record of runs was written by a newer version. Update this one.")

    monkeypatch.setattr(store_service, "current", broken)
    at = new().run()
    assert not at.exception
    output = [error.value for error in at.error]
    assert output == ["The record of runs was written by a newer version. Update this one."]


def test_a_run_of_another_version_is_no_obstacle(at: AppTest, store: Store):
    id = finished(store, "alice").id
    with connect(store.database) as connection:
        connection.execute("UPDATE runs SET settings = '{\"unheard\": 1}' WHERE id = ?", (id,))
    at.run()
    assert not at.exception
    assert found(store, id).settings == {"unheard": 1}


def in_order(config: RunConfig) -> list[str]:
    return re.findall(r"^\d\. \*\*(.+?)\.\*\*", steps(config), re.MULTILINE)


def test_the_steps_are_those_of_the_settings():
    usual = ["Score", "Prune", "Train", "Test and check"]
    assert in_order(RunConfig()) == usual
    assert "before any training" in steps(RunConfig())
    given = RunConfig(model="torchvision/resnet18", weights="pretrained")
    assert in_order(given) == ["Score", "Prune", "Fine-tune", "Test and check"]
    after = RunConfig(method="magnitude_trained")
    assert in_order(after) == ["Train", "Score", "Prune", "Train again", "Test and check"]
    both = RunConfig(method="magnitude_trained", weights="mine.pt")
    assert in_order(both)[0] == "Fine-tune"
    assert in_order(RunConfig(method="magnitude_trained", epochs=0))[2] == "No training"
    for config in (given, after, both):
        assert "before any training" not in steps(config)


def test_the_page_shows_the_steps_of_the_form(at: AppTest):
    assert "Train again" not in words(at)
    at.selectbox(key="method").select("magnitude_trained").run()
    assert "Train again" in words(at)


def test_given_weights_have_their_learning_rate_in_the_forecast(at: AppTest):
    assert "learning rate starts" not in words(at)
    at.selectbox(key="model").select("torchvision/resnet18").run()
    at.selectbox(key="weights").select("pretrained").run()
    # 0.01 for torchvision's; batches of 32 of digits: half of it; a tenth for given weights.
    assert "learning rate starts at 0.0005, a tenth" in words(at)
    at.number_input(key="train-lr").set_value(0.2).run()
    assert "learning rate starts" not in words(at)
