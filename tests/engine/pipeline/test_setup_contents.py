"""The contents behind the settings that may name a file."""

from __future__ import annotations

import dataclasses
import hashlib

from further_files import give_more_settings_a_file

from prospr_engine.config import RunConfig, TrainingConfig
from prospr_engine.pipeline.setup import contents_of


def test_every_file_setting_has_its_content(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"abc")
    found = contents_of(RunConfig(weights=str(file)), {"data": "images"})
    digest = hashlib.sha256(b"abc").hexdigest()
    assert found == {"model": "small_cnn", "data": "images", "weights": f"sha256:{digest}"}
    assert contents_of(RunConfig(), {"data": "images"})["weights"] == "fresh"


def test_further_file_settings_have_digests_of_their_own(monkeypatch, tmp_path):
    give_more_settings_a_file(monkeypatch)
    files = {}
    for name in ("weights", "device", "schedule"):
        files[name] = tmp_path / f"{name}.safetensors"
        files[name].write_bytes(name.encode())
    config = RunConfig(weights=str(files["weights"]), device=str(files["device"]))
    training = TrainingConfig(schedule=str(files["schedule"]))
    found = contents_of(dataclasses.replace(config, training=training), {"data": "images"})
    assert found == {
        "model": "small_cnn",
        "data": "images",
        "weights": f"sha256:{hashlib.sha256(b'weights').hexdigest()}",
        "device": f"sha256:{hashlib.sha256(b'device').hexdigest()}",
        "training.schedule": f"sha256:{hashlib.sha256(b'schedule').hexdigest()}",
    }
    assert contents_of(RunConfig(), {"data": "images"})["training.schedule"] == "cosine"
