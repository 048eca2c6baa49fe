"""What a run will take is corrected by what runs took here, and forecast_of in round numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import streamlit as st
from app_fakes import finished, found
from app_files import zipped
from app_run import finished_folder
from paths import ROOT

from app.forms.forecast_words import basis, queue
from app.services import estimates, layers, uploads
from app.services.estimates import Forecast, Timed, forecast
from prospr_engine.config import LoadingConfig, RunConfig
from prospr_engine.errors import ConfigError, EngineError, ModelError
from prospr_engine.models.measures import known
from prospr_engine.pipeline.estimate import seconds
from prospr_engine.store.schema import connect
from prospr_engine.store.store import Store
from prospr_engine.sweeps.config import SweepConfig


def forecast_of(config: RunConfig | None = None) -> Forecast:
    found = forecast(config or RunConfig())
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "has_gpu", lambda: False)


def test_without_earlier_runs_it_basis_the_operations(store: Store):
    size = known("small_cnn", 1, 8, 10)
    assert size is not None
    found = forecast_of()
    assert found.estimate.seconds == seconds(
        RunConfig(), found.images, size, threads=estimates.threads()
    )
    assert (found.earlier, found.assumes_cpu) == (0, False)
    assert basis(found).startswith("Estimated from the multiply-adds")


def test_runs_of_the_same_network_and_images_correct_it(store: Store):
    plain = forecast_of().estimate.seconds
    for seed, took in enumerate((30.0, 33.0, 300.0)):  # the machine was busy once
        finished(store, "bob", RunConfig(seed=seed), seconds=took)
    found = forecast_of()
    assert (found.earlier, found.same_network) == (3, True)
    assert found.estimate.seconds == pytest.approx(33.0, rel=0.01)
    assert basis(found) == "From 3 earlier runs of the same network on this machine."
    longer = forecast_of(RunConfig(epochs=30))
    uncorrected = forecast_of(RunConfig(epochs=30, device="cpu")).estimate.seconds
    assert longer.estimate.seconds / uncorrected == pytest.approx(33.0 / plain, rel=0.01)


def test_other_networks_correct_it_if_they_took_long(store: Store):
    config = RunConfig(model="resnet20")
    plain = forecast_of(config).estimate.seconds
    finished(store, seconds=33.0)  # of the small network: mostly starting and exporting
    assert forecast_of(config).estimate.seconds == plain
    finished(store, config=RunConfig(epochs=100), seconds=600.0)
    found = forecast_of(config)
    assert (found.earlier, found.same_network) == (1, False)
    assert found.estimate.seconds > plain
    assert basis(found) == "From 1 earlier run of other networks on this machine."


def test_runs_on_another_device_tell_nothing(store: Store):
    finished(store, config=RunConfig(device="cpu"), seconds=300.0)
    assert forecast_of().earlier == 0
    assert forecast_of(RunConfig(device="cpu")).earlier == 1


def test_with_a_gpu_that_nobody_has_used_the_time_is_a_processors(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(estimates, "has_gpu", lambda: True)
    assert forecast_of().assumes_cpu
    assert "seems to have a GPU" in basis(forecast_of())
    assert not forecast_of(RunConfig(device="cpu")).assumes_cpu
    finished(store)
    assert not forecast_of().assumes_cpu


def test_what_a_run_found_ready_is_not_expected_of_it(store: Store):
    size = known("small_cnn", 1, 8, 10)
    images = forecast_of().images
    assert size
    whole = Timed(RunConfig(), images, 30.0, {"scoring": 1.0, "training_dense": 5.0})
    cell = Timed(RunConfig(), images, 3.0, {"scoring": 0.0, "training_dense": 0.0})
    alone = seconds(RunConfig(), images, size, threads=estimates.threads())
    assert estimates._predicted(whole, size) == pytest.approx(alone)
    assert estimates._predicted(cell, size) < alone / 3
    # Nobody knows what it did itself: as all runs did once.
    assert estimates._predicted(Timed(RunConfig(), images, 3.0, {}), size) == alone


def test_runs_of_a_sweep_count_only_if_it_is_known_what_they_did(store: Store):
    study = store.submit_study("sweep", SweepConfig(), "alice")
    run = store.claim("test")
    assert run
    finished_folder(store, run)
    assert forecast_of().earlier == 0
    summary = {**(found(store, run.id).summary or {}), "seconds_of": {"training_dense": 5.0}}
    with connect(store.database) as c:
        c.execute("UPDATE runs SET summary = ? WHERE study = ?", (json.dumps(summary), study.id))
    st.cache_resource.clear()
    assert forecast_of().earlier == 1


@pytest.mark.parametrize(
    ("budget", "most"), [("parameters", 0.969), ("operations", 0.939), ("channels", 0.818)]
)
def test_channels_that_cannot_go_are_known_before_the_run(store: Store, budget: str, most: float):
    def of(sparsity: float) -> Forecast:
        return forecast_of(RunConfig(kind="channels", channel_budget=budget, sparsity=sparsity))

    assert of(most)
    with pytest.raises(ConfigError, match=f"ask for a sparsity of {most:g} "):
        of(most + 0.001)


def test_a_network_that_takes_long_to_follow_is_left_to_the_run(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    config = RunConfig(model="resnet32", kind="channels", sparsity=0.99)
    monkeypatch.setattr(layers, "TRACING", 0.0)
    assert forecast_of(config)
    monkeypatch.undo()
    st.cache_resource.clear()
    with pytest.raises(ConfigError, match="keeps at least"):
        forecast_of(config)


def test_a_result_of_another_version_is_passed_over(store: Store):
    split = {"train": 1, "validation": 1, "test": 1}
    finished(store, data={"classes": ["a"], "shape": [], "split": split, "digest": "d"})
    assert forecast_of().earlier == 0


def test_uploaded_images_are_counted(store: Store):
    upload = uploads.add("alice", "images", "pets.zip", zipped(count=20))
    found = forecast_of(RunConfig(data=upload.token))
    images = found.images
    assert (images.channels, images.size, images.classes, images.train) == (1, 8, 2, 40)
    assert (images.test, images.files) == (None, True)
    assert found.estimate.weights == 60_176  # two classes, not ten


def test_a_folder_is_counted(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pets.zip").write_bytes(zipped(count=20))
    assert forecast_of(RunConfig(data=str(tmp_path / "pets.zip"))).images.train == 40
    with pytest.raises(EngineError, match="no file or folder"):
        forecast(RunConfig(data="/nowhere/at.zip"))


def test_networks_outside_the_table_are_measured(store: Store):
    assert (
        forecast_of(RunConfig(model="torchvision/resnet18", data="cifar10")).estimate.weights
        == 11_172_032
    )
    sized = RunConfig(model="resnet20", loading=LoadingConfig(image_size=16))
    convolutions = 2_516_608 - 640  # at 8 pixels, without the classifier
    assert forecast_of(sized).estimate.macs == 4 * convolutions + 640
    with pytest.raises(ModelError, match="set the image size to 64"):
        forecast(RunConfig(model="torchvision/alexnet", data="cifar10"))
    with pytest.raises(ConfigError, match="no classification network"):
        forecast(RunConfig(model="torchvision/nothing", data="cifar10"))


def last_line(code: str, folder: Path) -> str:
    """What a program prints last, in a process of its own with its runs in ``folder``."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PROSPR_RUNS": str(folder), "PATH": "", "PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")[-2]


def test_the_first_page_and_the_form_of_sweeps_need_no_torch(tmp_path: Path):
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/app']\n"
        "from app_fakes import new\n"
        "at = new().run()\n"
        "assert not at.exception and at.metric\n"
        "at.slider(key='sparsity').set_value(50.0).run()\n"
        "assert not at.exception\n"
        "at.switch_page('sweep/page.py').run()\n"
        "assert not at.exception and at.metric\n"
        "print({'torch', 'torchvision', 'onnx', 'onnxruntime', 'sklearn'} & {*sys.modules})"
    )
    assert last_line(code, tmp_path) == "set()"


def test_queues_are_counted():
    assert queue(1).startswith("1 run is ahead of yours")
    assert queue(12).startswith("12 runs are ahead of yours")


def test_a_large_network_of_a_library_is_not_built_in_the_server(tmp_path: Path):
    code = (
        "import sys; sys.path[:0] = ['tests', 'tests/app']\n"
        "from app.services import estimates, layers\n"
        "from prospr_engine.config import LoadingConfig, RunConfig\n"
        "config = RunConfig(model='torchvision/vit_h_14', data='cifar10',\n"
        "    loading=LoadingConfig(image_size=224), layers={'conv_proj': 'dense'})\n"
        "found = estimates.forecast(config)\n"
        "assert found.estimate.parameters > 600e6\n"
        "assert len(layers.sizes(config.model, found.images)) > 90\n"
        "print({'torch', 'torchvision', 'timm'} & {*sys.modules})"
    )
    assert last_line(code, tmp_path) == "set()"
