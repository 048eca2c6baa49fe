"""What another sparsity would keep, on a finished run's page."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
import torch
from app_fakes import finished, keys, words
from app_run import part
from paths import ROOT
from streamlit.testing.v1 import AppTest
from waiting import PATIENCE

import prospr_engine as pe
from app import pages
from app.run import explore, mask_view
from app.services import ENCODINGS, RunConfig, predictions, runs, scores
from app.services import store as store_service
from app.ui.format import scientific, size
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.models.build import build
from prospr_engine.pipeline.checkpoint import Source, save_network
from prospr_engine.pipeline.pruning_record import PruningRecord
from prospr_engine.pipeline.result import Pruning
from prospr_engine.pruning.health import examine
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

NBSP = "\N{NO-BREAK SPACE}"

PAGE = """
import streamlit as st
from app.run.explore import show_explore
from app.services import runs
run = runs.find(st.query_params["id"])
show_explore(run, runs.result(run))
"""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, bytes]:
    """Scores of the small network, and their file."""
    path = tmp_path_factory.mktemp("scores") / "scores.safetensors"
    batch = (
        torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0)),
        torch.arange(16) % 10,
    )
    found = pe.score(build("small_cnn", (1, 8, 8), 10), [batch], method="prospr", rehearse=False)
    found.save(path)
    return found, path.read_bytes()


def pruned(
    found: Any, sparsity: float, floor: int = 0, layers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """What a run's result tells of its masks."""
    masks = found.masks(sparsity, floor, layers)
    health = examine(build("small_cnn", (1, 8, 8), 10), masks, torch.zeros(1, 1, 8, 8))
    return Pruning(found, masks, health).to_dict()


def explored(store: Store, scored: tuple[Any, bytes], config: RunConfig = RunConfig()) -> Run:  # noqa: B008
    """A finished run with scores."""
    found, file = scored
    answer = pruned(found, config.sparsity, config.layer_floor, config.layers)
    files = {"scores.safetensors": file, "pruned.safetensors": network()}
    return finished(store, config=config, files=files, **answer)


@functools.cache
def network() -> bytes:
    """The file of a small network."""
    source = Source.of("small_cnn", (1, 8, 8), 10)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "pruned.safetensors")
        save_network(path, source.build(), {}, source)
        return path.read_bytes()


def opened(run: Run, **address: str) -> AppTest:
    at = AppTest.from_string(PAGE, default_timeout=PATIENCE)
    at.session_state["visitor"] = "alice"
    at.query_params["id"] = run.id
    for name, value in address.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at


def moved(at: AppTest, to: float) -> AppTest:
    at.slider(key="at").set_value(to).run()
    assert not at.exception
    return at


def alts(at: AppTest) -> list[str]:
    return [chart.proto.alt for chart in at.get("vega_lite_chart")]


def test_it_opens_where_the_run_was_trained(store: Store, scored):
    at = opened(explored(store, scored))
    assert at.slider(key="at").value == 90
    assert f"6,069 of 60,688 weights kept (10{NBSP}%)" in words(at)
    assert "Trained at" not in words(at)
    assert "primary-train-here" not in keys(at)
    assert all(alts(at))


def test_the_slider_moves_everything_and_computes_no_score_again(store: Store, scored):
    found, _ = scored
    at = opened(explored(store, scored))
    before = alts(at)
    at = moved(at, 99.0)
    assert "607 of 60,688 weights kept" in words(at)
    assert f"Trained at 90{NBSP}%; shown at 99{NBSP}%" in words(at)
    assert at.button(key="primary-train-here").label == f"Train at 99{NBSP}%"
    assert not set(alts(at)) & set(before)
    expected = pruned(found, 0.99)
    shown = [f["text"] for f in expected["findings"] if f["level"] != "fine"]
    assert shown, "the test needs a sparsity that does harm"
    assert "output channels that no longer carry any signal" in words(at)


def test_a_number_moves_the_slider_and_a_button_moves_it_back(store: Store, scored):
    at = opened(explored(store, scored))
    assert at.number_input(key="at-exact").value == 90
    assert "at-reset" not in keys(at)
    at.number_input(key="at-exact").set_value(98.7).run()
    assert at.slider(key="at").value == 98.7
    assert at.query_params["at"] == "0.987"
    assert f"Trained at 90{NBSP}%; shown at 98.7{NBSP}%" in words(at)
    at.button(key="at-reset").click().run()
    assert at.slider(key="at").value == at.number_input(key="at-exact").value == 90
    assert "at" not in at.query_params
    assert "at-reset" not in keys(at)


def test_a_network_that_cannot_learn_is_not_offered_first(store: Store, scored):
    found, _ = scored
    at = moved(opened(explored(store, scored)), 99.9)
    levels = [finding["level"] for finding in pruned(found, 0.999)["findings"]]
    assert "danger" in levels, "the test needs a sparsity that cuts the network"
    assert "primary-train-here" not in keys(at)
    assert at.button(key="train-here").label == f"Train at 99.9{NBSP}%"


def listed_sizes(at: AppTest) -> dict[str, str]:
    """The size of the file in each encoding, as the list under the chart says it."""
    (table,) = (e.proto.body for e in at.get("html") if 'class="encodings"' in e.proto.body)
    rows = re.findall(r'<th scope="row">([^<]+)</th><td class="number">([^<]+)', table)
    return dict(rows)


def test_file_sizes_follow_the_slider(store: Store, scored):
    at = part(opened(explored(store, scored)), explore.SIZES)
    there = listed_sizes(at)
    assert list(there) == [row.label for row in ENCODINGS.values()]
    assert there["Dense, 32 bit"] == size(254_422)  # what the run wrote
    at = moved(at, 99.0)
    further = listed_sizes(at)
    assert further["Dense, 32 bit"] == f"about {size(254_422)}"
    assert int(further["Compact"].split(NBSP)[0].split()[-1]) < 20  # kB
    (words_,) = (alt for alt in alts(at) if alt.startswith("File size against"))
    assert f"At 99{NBSP}%: Dense, 32 bit 254{NBSP}kB" in words_


def test_sizes_that_cannot_be_predicted_are_said_so(store: Store, scored):
    found, file = scored
    run = finished(store, files={"scores.safetensors": file}, **pruned(found, 0.9))
    at = part(opened(run), explore.SIZES)
    assert "The sizes of other files cannot be predicted" in words(at)
    assert not at.error


def test_back_where_it_was_trained_all_is_as_at_first(store: Store, scored):
    at = opened(explored(store, scored))
    before = words(at), alts(at)
    at = moved(moved(at, 99.0), 90.0)
    assert (words(at), alts(at)) == before


@pytest.mark.parametrize("text", ["97.5", "0.975", "97.5%"])
def test_a_link_carries_the_sparsity(store: Store, scored, text: str):
    at = opened(explored(store, scored), at=text)
    assert at.slider(key="at").value == 97.5
    assert "1,518 of 60,688 weights kept" in words(at)


@pytest.mark.parametrize("text", ["", "much", "100", "-1", "nan"])
def test_an_edited_link_changes_nothing(store: Store, scored, text: str):
    assert opened(explored(store, scored), at=text).slider(key="at").value == 90


def test_another_run_opens_where_it_was_trained(store: Store, scored):
    one, two = (explored(store, scored, RunConfig(sparsity=s)) for s in (0.9, 0.8))
    at = moved(opened(one), 99.0)
    at.query_params["id"] = two.id
    at.run()
    assert at.slider(key="at").value == 80


def test_a_sparsity_between_the_sliders_steps_is_the_runs_own(store: Store, scored):
    at = opened(explored(store, scored, RunConfig(sparsity=0.99957)))
    assert "primary-train-here" not in keys(at)
    assert at.slider(key="at").max == 99.957


def test_training_there_is_a_new_run_with_the_same_settings(
    store: Store, scored, monkeypatch: pytest.MonkeyPatch
):
    went: list[Any] = []
    monkeypatch.setattr(explore.st, "switch_page", lambda *a, **k: went.append((a, k)))
    at = moved(opened(explored(store, scored, RunConfig(seed=3))), 95.1)
    at.button(key="primary-train-here").click().run()
    new = store.runs("alice")[0]
    assert new.state == "queued"
    assert new.config == RunConfig(seed=3, sparsity=0.951)
    assert went == [((pages.RUN,), {"query_params": {"id": new.id}})]


def test_a_full_queue_is_reported(tmp_path: Path, store: Store, scored, monkeypatch):
    run = explored(store, scored)
    full = Store(store.folder, Limits(most_queued_per_visitor=1))
    monkeypatch.setattr(store_service, "current", lambda: full)
    full.submit(RunConfig(seed=9), "alice")
    at = moved(opened(run), 95.0)
    at.button(key="primary-train-here").click().run()
    assert not at.exception
    assert len(at.error) == 1


@pytest.mark.parametrize("file", [None, b"not a file of scores"], ids=["no file", "damaged"])
def test_without_scores_the_result_still_stands(store: Store, scored, file: bytes | None):
    found, _ = scored
    files = {} if file is None else {"scores.safetensors": file}
    at = opened(finished(store, files=files, **pruned(found, 0.9)))
    assert not at.slider
    assert "no longer" in words(at)
    assert "Share of weights kept in each of 5 layers" in alts(at)[0]
    assert "Every kept weight is connected" in words(at)


def test_no_path_of_the_server_is_reported(store: Store, scored):
    found, _ = scored
    at = opened(finished(store, files={"scores.safetensors": b"no"}, **pruned(found, 0.9)))
    assert store.folder.name not in words(at)
    assert "artifacts" not in words(at)


def test_floors_that_leave_no_room_get_a_sentence(store: Store, scored):
    at = opened(explored(store, scored, RunConfig(layer_floor=100)))
    at = moved(at, 99.9)
    assert "A floor of 100 weights" in at.error[0].value
    assert "100 weights in any case" in words(moved(at, 95.0))


def test_the_examination_is_the_engines(store: Store, scored):
    found, _ = scored
    run = explored(store, scored, RunConfig(layer_floor=2))
    result = runs.result(run)
    answer = scores.examine(run, result, 0.98)
    expected = PruningRecord.from_dict(pruned(found, 0.98, 2))
    assert answer.sparsity == expected.sparsity
    assert answer.layers == expected.layers
    assert answer.findings == expected.findings[:-1]  # the last one is the trust
    assert answer.trust == result.pruning.trust


def test_layers_that_were_set_by_hand_are_said_and_kept_to(store: Store, scored):
    found, _ = scored
    layers = {"0.0": "dense", "[12].0": 0.95}
    run = explored(store, scored, RunConfig(sparsity=0.9, layers=layers))
    at = opened(run)
    by_hand = rf"Set by hand\: Layer 1 dense; Layer 2 and Layer 3 95{NBSP}% removed."
    assert by_hand in words(at)
    at = moved(at, 95.0)
    assert not at.error
    assert by_hand in words(at)
    assert "3,035 of 60,688 weights kept" in words(at)
    assert "Layers that were set by hand have thresholds of their own." in words(at)
    at.selectbox(key="scores-of").set_value("0.0.weight").run()
    lowest = found["0.0.weight"].min().item()  # a dense layer keeps even that
    assert f"The threshold is {scientific(lowest)}" in words(at)
    answer = scores.examine(run, runs.result(run), 0.95)
    expected = PruningRecord.from_dict(pruned(found, 0.95, layers=layers))
    assert answer.layers == expected.layers
    at = moved(at, 99.0)
    assert "set a sparsity of at most" in at.error[0].value


def test_scores_are_sorted_once(store: Store, scored, monkeypatch: pytest.MonkeyPatch):
    run, twin = (explored(store, scored, RunConfig(seed=s)) for s in (0, 1))
    loaded = []
    load = scores.Ranking.load
    monkeypatch.setattr(scores.Ranking, "load", lambda path: loaded.append(path) or load(path))
    at = opened(run)
    moved(moved(at, 50.0), 99.0)
    opened(twin)  # the same scores, kept once
    assert len(loaded) == 1


def test_a_network_too_large_for_the_server_is_not_sorted(store: Store, scored, monkeypatch):
    run = explored(store, scored)
    monkeypatch.setattr(scores, "MOST_BYTES", 1000)
    with pytest.raises(ResourceError, match="too large to explore"):
        scores.ranking(run)
    assert "too large to explore" in words(opened(run))


def test_heavy_work_is_done_once_at_a_time(monkeypatch: pytest.MonkeyPatch):
    busy, most, order = [], [], scores.Ranking({"a": np.arange(4.0)})

    def work(*_: Any) -> Any:
        busy.append(1)
        most.append(len(busy))
        time.sleep(0.05)
        busy.pop()
        return order

    monkeypatch.setattr(scores.Ranking, "load", work)
    monkeypatch.setattr(scores.Ranking, "histogram", work)
    monkeypatch.setattr("prospr_engine.pipeline.predict.load_pair", work)
    with ThreadPoolExecutor(6) as threads:
        jobs = [threads.submit(scores._ranking, f"/{i}") for i in range(2)]
        jobs += [threads.submit(scores._histogram, order, f"/{i}", None) for i in range(2)]
        jobs += [threads.submit(predictions._pair, f"/{i}", "/") for i in range(2)]
        assert [job.result() for job in jobs] == [order] * 6
    assert most == [1] * 6
    for cached in (scores._ranking, scores._histogram, predictions._pair):
        cached.clear()


# The mask of a layer


def test_the_largest_layer_is_shown_first_and_another_can_be_chosen(store: Store, scored):
    at = opened(explored(store, scored))
    assert "64 output by 64 input channels, kernels of 3 × 3." in words(at)
    at.selectbox(key="mask-layer").select_index(4).run()
    assert not at.exception
    assert "10 output by 64 input channels." in words(at)


def test_two_boxes_choose_a_block_without_a_mouse(store: Store, scored):
    found, _ = scored
    at = opened(explored(store, scored))
    name = list(found)[3]
    at.selectbox(key=f"mask-out-{name}").select_index(1).run()
    at.selectbox(key=f"mask-in-{name}").select_index(2).run()
    mask = found.masks(0.9)[name][16:32, 32:48]
    assert f"Output channels 16–31, input channels 32–47: {int(mask.sum())} of 2,304" in words(at)


def test_a_click_moves_the_boxes(monkeypatch: pytest.MonkeyPatch):
    click = {"selection": {"click": [{"top": 40, "left": 17}]}}
    session: dict[str, Any] = {"map": click}
    monkeypatch.setattr(st, "session_state", session)
    mask_view._take_click("map", "a.weight", (64, 64, 3, 3))
    assert session["mask-out-a.weight"] == 2
    assert session["mask-in-a.weight"] == 1
    session["map"] = {"selection": {"click": []}}
    mask_view._take_click("map", "b.weight", (64, 64, 3, 3))
    assert "mask-out-b.weight" not in session


def test_every_kind_of_layer_can_be_looked_at(store: Store):
    shapes = {
        "one": (6, 1, 5), "three": (4, 2, 3, 3, 3), "depthwise": (40, 1, 3, 3), "single": (7,),
        "point": (50, 70, 1, 1), "linear": (10, 900), "large": (40, 40, 11, 11),
    }  # fmt: skip
    rng = np.random.default_rng(0)
    order = scores.Ranking({k: rng.random(v).astype(np.float32) for k, v in shapes.items()})
    page = """
import streamlit as st
from app.run.mask_view import show_mask
show_mask(st.session_state["order"], st.session_state["order"].cut(0.9))
"""
    at = AppTest.from_string(page, default_timeout=PATIENCE)
    at.session_state["order"] = order
    at.run()
    for i in range(len(shapes)):
        at.selectbox(key="mask-layer").select_index(i).run()
        assert not at.exception
        assert len(alts(at)) == 2


# Before torch


def test_the_section_is_drawn_without_the_engine():
    code = (
        "import sys; import app.run.explore; from prospr_engine.pruning.ranking import Ranking\n"
        "print('torch' in sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert answer.stdout.strip() == "False"


def test_gone_scores_raise_a_sentence(store: Store):
    with pytest.raises(DataError, match="no longer on the server"):
        scores.ranking(finished(store))


# A criterion that prunes towards one sparsity


@pytest.fixture(scope="module")
def towards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, bytes]:
    """SynFlow's scores of the small network at 90 %, and their file."""
    path = tmp_path_factory.mktemp("synflow") / "scores.safetensors"
    model, batch = build("small_cnn", (1, 8, 8), 10), (torch.rand(2, 1, 8, 8), torch.arange(2))
    found = pe.score(model, [batch], method="synflow", sparsity=0.9, rounds=5)
    found.save(path)
    return found, path.read_bytes()


def test_scores_made_for_one_sparsity_are_shown_there_alone(store: Store, towards):
    at = opened(explored(store, towards, RunConfig(method="synflow")), at="97.5")
    assert not at.slider
    assert f"SynFlow prunes in rounds towards one sparsity, here 90{NBSP}%" in words(at)
    assert f"6,069 of 60,688 weights kept (10{NBSP}%)" in words(at)
    assert "scores are zero, mostly from earlier rounds" in words(at)
    assert at.button(key="primary-train-elsewhere").disabled
    assert not at.error
    assert all(alts(at))


def test_another_sparsity_is_a_new_run(store: Store, towards, monkeypatch: pytest.MonkeyPatch):
    went: list[Any] = []
    monkeypatch.setattr(explore.st, "switch_page", lambda *a, **k: went.append((a, k)))
    config = RunConfig(method="synflow", seed=3)
    at = opened(explored(store, towards, config))
    at.number_input(key="at").set_value(95.5).run()
    button = at.button(key="primary-train-elsewhere")
    assert button.label == f"Train at 95.5{NBSP}%"
    button.click().run()
    new = store.runs("alice")[0]
    assert new.config == RunConfig(method="synflow", seed=3, sparsity=0.955)
    assert went == [((pages.RUN,), {"query_params": {"id": new.id}})]


def test_the_field_stands_where_each_run_was_trained(store: Store, scored, towards):
    one = explored(store, scored)
    two = explored(store, towards, RunConfig(method="synflow"))
    at = moved(opened(one), 99.0)
    at.query_params["id"] = two.id
    at.run()
    assert not at.exception
    assert at.number_input(key="at").value == 90
    at.number_input(key="at").set_value(50.0).run()
    at.query_params["id"] = one.id
    at.run()
    assert not at.exception
    assert at.slider(key="at").value == 90
