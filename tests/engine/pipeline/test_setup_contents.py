"""The contents behind the settings that may name a file."""

from __future__ import annotations

import hashlib

from prospr_engine.config import RunConfig
from prospr_engine.pipeline.setup import contents_of


def test_every_file_setting_has_its_content(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"abc")
    found = contents_of(RunConfig(weights=str(file)), {"data": "images"})
    digest = hashlib.sha256(b"abc").hexdigest()
    assert found == {"data": "images", "weights": f"sha256:{digest}"}
    assert contents_of(RunConfig(), {"data": "images"})["weights"] == "fresh"
