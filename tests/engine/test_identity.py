"""Names of settings, and what counts as the same."""

from __future__ import annotations

import dataclasses
import json
import sqlite3

import pytest
from further_files import give_more_settings_a_file

from prospr_engine import identity
from prospr_engine.cli.store_runs import _findable
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
from prospr_engine.io.tokens import absolute
from prospr_engine.registry import setting
from prospr_engine.store.store import Store
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

UPLOAD = f"upload:{'a' * 64}"
RUNS = {
    "44136fa355b3678a": RunConfig(),
    "23cde620f3d2ca90": RunConfig("resnet20", "cifar10", sparsity=0.98, epochs=20, seed=3),
    "240de916b1fa5feb": RunConfig(data=f"{UPLOAD}/photos.zip", weights=f"{UPLOAD}/net.safetensors"),
    "2a40247c7306a80a": RunConfig(
        method="snip",
        control="reinit",
        layer_floor=2,
        device="cpu",
        loading=LoadingConfig(image_size=32, train_limit=500, skip_broken=True),
    ),
    "a1fd564233e15aaa": RunConfig(
        scoring=ScoringConfig(batches=3, precision="float64", options={"steps": 5, "lr": 0.1}),
        training=TrainingConfig(lr=0.05, schedule="step", batch_size=64),
    ),
}
SWEEPS = {
    "7385d0ee25b45991": SweepConfig(),
    "e37682c985959b5b": SweepConfig(
        methods=("prospr", "snip", "magnitude"),
        sparsities=(0.8, 0.95),
        seeds=(0, 1, 2),
        steps=(1, 3),
        controls=("none", "shuffle"),
    ),
    "c532d19120bdcbc6": SweepConfig.of(
        model="resnet20", data="cifar10", epochs=5, scoring=ScoringConfig(options={"lr": 0.2})
    ),
}
SEARCHES = {
    "71746a27d706b158": SearchConfig(most_lost=0.01),
    "527897f96ef60c00": SearchConfig.of(
        model="resnet20", data="cifar10", most_bytes=100_000, seeds=[0, 1], lowest=0.5,
        most_probes=5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*RUNS, *SWEEPS])
def test_fingerprints_are_those_of_0_3_0(name: str):
    assert (RUNS | SWEEPS)[name].fingerprint == name


@pytest.mark.parametrize("name", SEARCHES)
def test_searches_of_0_3_0_are_found_by_the_name_that_they_had(name: str):
    assert SEARCHES[name].legacy_fingerprint == name
    assert SEARCHES[name].fingerprint != name


@dataclasses.dataclass(frozen=True)
class LaterSearch(SearchConfig):
    """A search of a later version, with one setting more."""

    patience: int = setting(2, "probes without progress", minimum=1)


def test_a_setting_added_later_renames_no_search():
    now, later = SearchConfig(most_lost=0.01), LaterSearch(most_lost=0.01)
    assert later.fingerprint == now.fingerprint
    assert later.legacy_fingerprint == now.legacy_fingerprint
    assert LaterSearch(most_lost=0.01, patience=3).fingerprint != now.fingerprint


def test_every_setting_of_a_search_counts():
    plain = SearchConfig(most_lost=0.01)
    changes = [
        {"most_lost": 0.02},
        {"most_lost": None, "most_bytes": 1000},
        {"seeds": (1,)},
        {"lowest": 0.1},
        {"highest": 0.9},
        {"most_probes": 3},
        {"run": RunConfig(epochs=4)},
    ]
    others = [dataclasses.replace(plain, **change) for change in changes]
    assert len({config.fingerprint for config in [plain, *others]}) == 1 + len(changes)


@pytest.mark.parametrize("config", [*RUNS.values(), *SWEEPS.values(), *SEARCHES.values()])
def test_settings_are_the_same_as_what_was_written_of_them(config):
    assert identity.same_settings(config, json.loads(json.dumps(config.to_dict())))


def test_settings_of_an_earlier_version_have_the_defaults_for_what_it_did_not_know():
    config, settings = RunConfig(epochs=7), RunConfig(epochs=7).to_dict()
    del settings["control"], settings["training"]["precision"], settings["scoring"]
    assert identity.same_settings(config, settings)
    assert not identity.same_settings(RunConfig(epochs=7, control="reinit"), settings)
    assert not identity.same_settings(config, settings | {"from a later version": 1})


def test_settings_may_be_the_same_but_for_some():
    first, second = RunConfig(control="reinit"), RunConfig(control="random").to_dict()
    assert not identity.same_settings(first, second)
    assert identity.same_settings(first, second, but=("control",))
    assert not identity.same_settings(first, second | {"seed": 1}, but=("control",))
    assert not identity.same_settings(first, second | {"loading": None}, but=("control",))


def test_what_decides_the_dense_network_is_what_its_training_sees():
    one = RunConfig()
    same = [
        RunConfig(method="snip"),
        RunConfig(sparsity=0.5),
        RunConfig(control="reinit"),
        RunConfig(layer_floor=3),
        RunConfig(scoring=ScoringConfig(batches=2)),
    ]
    other = [
        RunConfig(epochs=4),
        RunConfig(seed=1),
        RunConfig(weights="pretrained"),
        RunConfig(loading=LoadingConfig(train_limit=100)),
        RunConfig(training=TrainingConfig(lr=1.0)),
    ]
    assert {identity.dense_group(config) for config in same} == {identity.dense_group(one)}
    assert identity.dense_group(one) not in {identity.dense_group(config) for config in other}
    assert all(config.dense == one.dense for config in same)
    assert all(config.dense != one.dense for config in other)


def test_settings_of_layers_have_one_fingerprint_in_any_order_and_form():
    one = RunConfig(layers={"conv1": "dense", "layer4.*": 0.98})
    other = RunConfig.from_dict(json.loads('{"layers": {"layer4.*": "0.98", "conv1": 0.0}}'))
    assert one == other
    assert one.fingerprint == other.fingerprint != RunConfig().fingerprint
    assert one.to_dict() == other.to_dict()
    assert RunConfig(layers={}).fingerprint == RunConfig().fingerprint
    assert one.dense == RunConfig()
    assert identity.scores_group(one, False) == identity.scores_group(RunConfig(), False)
    assert identity.scores_group(one, True) != identity.scores_group(RunConfig(), True)
    assert identity.same_settings(one, json.loads(json.dumps(one.to_dict())))
    sweeps = [SweepConfig.of(layers=config.layers) for config in (one, other)]
    assert sweeps[0].fingerprint == sweeps[1].fingerprint != SweepConfig().fingerprint
    assert all(cell.layers == one.layers for cell in sweeps[0].cells())
    assert SweepConfig.from_dict(json.loads(json.dumps(sweeps[0].to_dict()))) == sweeps[0]


def test_scores_are_shared_by_sparsities_unless_the_criterion_is_iterative():
    low, high = RunConfig(sparsity=0.5), RunConfig(sparsity=0.9)
    assert identity.scores_group(low, False) == identity.scores_group(high, False)
    assert identity.scores_group(low, True) != identity.scores_group(high, True)
    other = RunConfig(scoring=ScoringConfig(options={"steps": 5}))
    assert identity.scores_group(low, False) != identity.scores_group(other, False)


def test_keys_of_shared_networks_are_those_of_0_3_0_and_of_scores_are_not():
    """Scores are computed in other number formats since."""
    config = RunConfig("resnet20", "cifar10", "snip", epochs=2, seed=5)
    contents = {"model": "resnet20", "data": "d" * 64, "weights": "fresh"}
    machine, recipe = {"torch": "2"}, {"epochs": 2, "lr": 0.1}
    assert (
        identity.dense_key(config, contents, recipe, machine) == "90b67b8f8e7e04b8defbc4e6ee3a79e1"
    )
    assert identity.scores_key(config, contents, {"a": 1}, {}, machine) != (
        "56b4c26948ed90394d893aa1130ec39c"
    )
    with pytest.raises(KeyError):
        identity.dense_key(config, {"data": "d" * 64}, recipe, machine)


def test_the_network_of_a_file_counts_by_its_content():
    def key(model, content):
        contents = {"model": content, "data": "d" * 64, "weights": "pretrained"}
        return identity.dense_key(RunConfig(model), contents, {"epochs": 2}, {"torch": "2"})

    here, there = "/srv/net.onnx", f"{UPLOAD}/net.onnx"
    assert key(here, "sha256:1") == key(there, "sha256:1") != key(there, "sha256:2")


def test_files_are_distinguished_from_names_and_tokens_from_paths():
    config = RunConfig(data="/srv/photos", weights=f"{UPLOAD}/net.safetensors")
    assert identity.file_settings(config) == {
        "data": "/srv/photos",
        "weights": f"{UPLOAD}/net.safetensors",
    }
    assert identity.paths(config) == {"data": "/srv/photos"}
    assert identity.tokens(config) == {"weights": f"{UPLOAD}/net.safetensors"}
    assert identity.file_settings(config.to_dict(), RunConfig) == identity.file_settings(config)
    assert identity.file_settings(RunConfig(data="cifar10", weights="pretrained")) == {}
    for damaged in ({}, {"data": None, "weights": 3}, {"data": ["/a"]}):
        assert identity.file_settings(damaged, RunConfig) == {}


def test_a_further_setting_with_a_file_is_known_by_its_option_alone(monkeypatch):
    give_more_settings_a_file(monkeypatch)
    training = TrainingConfig(schedule="plan.safetensors")
    config = RunConfig(device="~/x.safetensors", training=training)
    assert identity.paths(config) == {
        "device": "~/x.safetensors",
        "training.schedule": "plan.safetensors",
    }
    assert identity.file_settings(config.to_dict(), RunConfig) == identity.paths(config)
    assert identity.run_key(config) is None
    moved = identity.replace_files(config, absolute)
    whole = {absolute("~/x.safetensors"), absolute("plan.safetensors")}
    assert set(identity.paths(moved).values()) == whole
    assert moved.data == "digits"


def test_the_command_line_names_such_a_file_by_its_whole_path(monkeypatch, tmp_path):
    give_more_settings_a_file(monkeypatch)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.safetensors").touch()
    found = _findable(RunConfig(device="x.safetensors"))
    assert found.device == str(tmp_path / "x.safetensors")


def test_an_upload_named_by_such_a_setting_is_renewed(monkeypatch, tmp_path):
    give_more_settings_a_file(monkeypatch)
    store = Store(tmp_path)
    with store.uploads.receive(b"x") as part:
        upload = store.uploads.keep(part, "alice", "weights", "x.safetensors", ".safetensors")
    with sqlite3.connect(store.database) as c:
        c.execute("UPDATE uploads SET created = 0")
    assert identity.run_key(RunConfig(device=upload.token)) is not None
    store.submit(RunConfig(device=upload.token), "alice")
    (renewed,) = store.uploads.of("alice", "weights")
    assert renewed.created > 0
