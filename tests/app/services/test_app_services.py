"""The door to the engine: what goes through, and that it is cheap."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from app_fakes import finished

from app.forms import forecast_words
from app.services import estimates, runs
from app.services import store as service
from app.ui import code
from app.ui.titles import summary
from prospr_engine.cli import main as cli
from prospr_engine.cli import settings as cli_common
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.errors import ConfigError, DataError, StoreError
from prospr_engine.events import EpochEnded, Progress, StageStarted
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store
from prospr_engine.sweeps.config import SweepConfig

CONFIGS = {
    "defaults": RunConfig(),
    "all kinds": RunConfig(
        model="resnet20",
        data="/a folder/it's mine.zip",
        method="prospr",
        sparsity=0.985,
        layer_floor=3,
        loading=LoadingConfig(image_size=32, skip_broken=True, validation_fraction=0.2),
        scoring=ScoringConfig(batch_size=64, precision="float64", options={"steps": 5, "lr": 0.01}),
        training=TrainingConfig(lr=0.05, weight_decay=0.001, schedule="step"),
        layers={"conv1": "dense", "layer1.*": 0.985},
    ),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_command_shown_means_the_same_settings(config: RunConfig):
    words = shlex.split(code.command(config, threads=2))
    assert words[:4] == ["OMP_NUM_THREADS=2", ".venv/bin/python", "-m", "prospr_engine"]
    again = cli_common.config_of(cli._parser().parse_args(words[4:]))
    # Options of the method stay text until the method takes them.
    options = {k: type(v)(again.scoring.options[k]) for k, v in config.scoring.options.items()}
    scoring = dataclasses.replace(again.scoring, options=options)
    assert dataclasses.replace(again, scoring=scoring) == config


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_the_program_shown_means_the_same_settings(
    config: RunConfig, capsys: pytest.CaptureFixture[str]
):
    settings, call = code.program(config, threads=1).split("result = ")
    names: dict = {}
    exec(settings, names)
    assert names["config"] == config
    assert call.startswith("pe.run(config, report, out='out')")
    names["report"](StageStarted("train", "Training"))
    names["report"](EpochEnded("dense", 1, 3, 0.1, 0.9, 0.1, 0.95, 1.0))
    names["report"](Progress("train", 1, 2, "batches"))
    assert capsys.readouterr().out == "Training\ndense, epoch 1: 95.0%\n"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (RunConfig(), "Small CNN · Digits · ProsPr · 90 % removed · 3 epochs · seed 0"),
        (CONFIGS["all kinds"], "ResNet-20 · it's mine.zip · ProsPr · 98.5 % removed · 3 epochs · "
         "seed 0 · minimum weights per layer: 3, image size (pixels): 32, "
         "share for validation: 0.2, 10 more settings"),
        (RunConfig(model="torchvision/vgg11", epochs=1, device="cpu"), "torchvision/vgg11 · Digits"
         " · ProsPr · 90 % removed · 1 epoch · seed 0 · compute on: cpu"),
    ],
)  # fmt: skip
def test_a_run_in_one_line(config: RunConfig, text: str):
    assert summary(config).replace("\N{NO-BREAK SPACE}", " ") == text


def test_the_command_shown_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = RunConfig(method="magnitude", epochs=0, loading=LoadingConfig(train_limit=100))
    command = code.command(config, threads=1, out=str(tmp_path / "out"))
    assert cli.main(shlex.split(command)[4:]) == 0
    assert RunConfig.read(tmp_path / "out" / "config.json") == config
    assert "of the weights removed" in capsys.readouterr().out


def test_what_the_browser_sends_is_checked_again(store: Store, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match="no file 'etc' here"):
        runs.start(RunConfig(data="/etc"), "alice")
    with pytest.raises(ConfigError, match="no model called 'resnet21'"):
        runs.start(RunConfig(model="resnet21"), "alice")
    with pytest.raises(ConfigError):
        runs.start(RunConfig(data=f"upload:{'a' * 64}/photos.zip"), "alice")
    assert not store.runs()
    runs.start(RunConfig(model="torchvision/resnet18"), "alice")
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    run = runs.start(RunConfig(data="photos"), "alice")
    assert run.config.data == str(Path.cwd() / "photos")  # the worker stands elsewhere
    assert len(store.runs()) == 2


def test_a_run_is_looked_after_while_it_lives(store: Store, monkeypatch: pytest.MonkeyPatch):
    asked: list[Path] = []
    monkeypatch.setattr(service, "ensure_worker", asked.append)
    run = runs.start(RunConfig(), "alice")
    assert runs.find(run.id) == run
    assert asked == [store.folder] * 2
    runs.stop(run, "alice")
    assert runs.find(run.id).state == "stopped"  # type: ignore[union-attr]
    assert len(asked) == 2


def test_a_store_that_cannot_record_says_so_when_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PROSPR_RUNS", str(tmp_path))
    service.current.clear()
    assert service.current().runs() == []
    service.current.clear()
    access = os.access
    with monkeypatch.context() as patch:  # tests of the superuser may write everywhere
        patch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
        with pytest.raises(StoreError, match=r"cannot record runs .*administrator .*PROSPR_RUNS"):
            service.current()
    assert service.current().runs() == []  # as soon as it can be written to, without a restart
    service.current.clear()


def test_nothing_is_found_without_an_id(store: Store):
    assert runs.find(None) is None
    assert runs.find("") is None
    assert runs.find("nonsense") is None


def test_a_result_is_read_once_and_reported_when_it_is_gone(store: Store):
    run = finished(store)
    result = runs.result(run)
    assert runs.result(run) is result
    runs.files(run)["result.json"].path.unlink()
    with pytest.raises(DataError, match="no longer on the server"):
        runs.result(run)


def test_the_pace_is_that_of_runs_that_were_computed():
    def ran(seconds: float | None, state: str = "done") -> SimpleNamespace:
        return SimpleNamespace(
            state=state, started=100.0, ended=None if seconds is None else 100.0 + seconds
        )

    reused, failed, running = ran(0.01), ran(50.0, "failed"), ran(None, "running")
    assert runs.pace([ran(2.0), reused, failed, running]) is None
    assert runs.pace([ran(2.0), reused, failed, running, ran(4.0)]) == pytest.approx(3.0)
    assert runs.pace([ran(900.0)] + [ran(1.0)] * runs.LATEST) == pytest.approx(1.0)


def test_a_run_that_the_server_would_end_is_said_before(store: Store):
    def limit(minutes: float) -> None:
        object.__setattr__(store, "limits", Limits(run_minutes=minutes))

    long = RunConfig(epochs=3_000)
    sweep = SweepConfig(long, ("prospr",), (0.9,), (1,))
    minutes = estimates.forecast(long).estimate.seconds / 60
    for allowed, said in ((0.0, None), (minutes * 2, None), (minutes / 2, minutes / 2)):
        limit(allowed)
        assert estimates.forecast(long).too_long == estimates.plan(sweep).too_long == said
    assert "after 90 minutes" in forecast_words.too_long(90.0)
