"""A network that a visitor brings, from the form to the settings of the run."""

from __future__ import annotations

from pathlib import Path

import pytest
from app_fakes import new, words
from own_network import network
from streamlit.testing.v1 import AppTest

from app.forms.url_state import address, values_of
from app.services import uploads
from app.ui.labels import FROM_NETWORK, OWN_NETWORK
from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, ModelError
from prospr_engine.store.records import Upload
from prospr_engine.store.store import Store

START = "primary-start"


@pytest.fixture
def mine(store: Store, monkeypatch) -> Upload:
    monkeypatch.setenv("PROSPR_UPLOADS", str(store.uploads.folder))
    return uploads.add("alice", "network", "mine.onnx", network())


def chosen(file: str, visitor: str = "alice") -> AppTest:
    at = new(visitor)
    at.query_params["model"] = OWN_NETWORK
    at.query_params["network-file"] = file
    return at.run()


def test_the_file_is_described_and_its_weights_kept_or_not(
    sandboxed: None, mine: Upload, store: Store
):
    at = chosen("mine.onnx")
    assert not at.exception
    # 8·9 + 16·8·9 + 10·16 weights, and 8 + 16 + 10 biases.
    assert "1,418 parameters, of which 1,384 weights can be removed" in words(at)
    assert "It takes grey images of 8 × 8 pixels and tells 10 classes apart." in words(at)
    assert at.selectbox(key="weights").options == [FROM_NETWORK, "New weights"]
    at.selectbox(key="weights").select(FROM_NETWORK).run()
    at.button(key=START).click().run()
    assert store.runs()[0].config == RunConfig(model=mine.token, weights="pretrained")


def test_somebody_elses_network_cannot_be_used(mine: Upload):
    for at in (chosen("mine.onnx", "bob"), chosen(mine.token, "bob")):
        assert "belongs to somebody else or was removed" in words(at)
        assert at.button(key=START).disabled


@pytest.mark.parametrize("typed", ["/etc/secret.onnx", "token"])
def test_no_file_of_the_server_can_be_typed(mine: Upload, typed: str):
    at = new("bob")
    at.query_params["model"] = mine.token if typed == "token" else typed
    at.run()
    assert not at.exception
    assert at.button(key=START).disabled or at.selectbox(key="model").value == "small_cnn"
    assert "1,418 parameters" not in words(at)
    with pytest.raises(ConfigError):
        uploads.check_tokens(RunConfig(model=mine.token), "bob")


def test_a_path_stands_in_the_address_where_paths_are_allowed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    file = tmp_path / "net.onnx"
    file.write_bytes(network())
    config = RunConfig(model=str(file), weights="pretrained", sparsity=0.5)
    parameters = address(config)
    assert parameters["model"] == str(file)
    at = new("alice")
    for name, value in parameters.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    assert not at.warning
    assert not at.error
    assert at.session_state["model"] == str(file)
    assert at.session_state["weights"] == FROM_NETWORK
    assert "parameters, of which" in words(at)
    assert not at.button(key=START).disabled
    monkeypatch.delenv("PROSPR_ALLOW_PATHS")
    assert str(tmp_path) not in str(address(config))


def test_the_form_and_its_address_name_the_network(mine: Upload):
    config = RunConfig(model=mine.token, weights="pretrained", sparsity=0.5)
    values = values_of(config)
    assert values["model"] == OWN_NETWORK
    assert values["network-file"] == mine.token
    assert values["weights"] == FROM_NETWORK
    assert address(config)["network-file"] == "mine.onnx"


def test_what_is_no_network_is_refused_and_leaves_nothing(store: Store):
    with pytest.raises(ModelError, match=r"photo\.onnx is"):
        uploads.add("alice", "network", "photo.onnx", b"\x89PNG\r\n\x1a\n" + bytes(100))
    assert uploads.mine("alice", "network") == []
    assert list(store.uploads.folder.glob("*")) == []
