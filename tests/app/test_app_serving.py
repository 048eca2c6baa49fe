"""The files of runs over plain HTTP: who gets what, under which name, and in small pieces."""

from __future__ import annotations

import asyncio
import io
import json
import os
import tomllib
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from app_fakes import RESULT, finished, running
from paths import ROOT
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from app import access, serving, session
from app import streamlit_app as module
from app.services import RunConfig
from prospr_engine.pipeline.run import run as compute
from prospr_engine.store import artifacts
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

SECRET = "/home/x/secret"
COOKIE = "a" * 32
OWNER = access.visitor_of(COOKIE)
SERVER = Starlette(routes=[Route("/files/{run}/{name}", serving.serve, methods=["GET"])])


@dataclass
class Answer:
    """``pieces`` are the bytes as they were sent."""

    status: int
    headers: dict[str, str]
    pieces: list[bytes]

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def get(run: Run | str, name: str, cookie: str = "", query: str = "") -> Answer:
    """What the server sends for the file."""
    path = f"/files/{run if isinstance(run, str) else run.id}/{name}"
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(b"cookie", f"{session.COOKIE}={cookie}".encode())] if cookie else [],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("test", 80),
    }
    sent: list[dict] = []

    async def receive() -> dict:
        await asyncio.Event().wait()  # the visitor never goes away
        return {}

    async def send(message: dict) -> None:
        sent.append(message)

    # In a thread of its own: another test of this process may have left a loop running here.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(SERVER(scope, receive, send))).result()
    start, *rest = sent
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], headers, [each.get("body", b"") for each in rest])


def test_a_file_comes_whole_and_under_a_name_of_its_own(store: Store):
    run = finished(store, OWNER)
    answer = get(run, "model.onnx")
    assert (answer.status, answer.body) == (200, b"the network")
    name = f"small_cnn-digits-90-{run.id[:6]}-model.onnx"
    assert answer.headers["content-disposition"] == f"attachment; filename*=utf-8''{name}"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert get(run, "layers.csv").body.startswith(b"name,total,kept")
    assert get(run, "training.csv").headers["content-type"].startswith("text/csv")


def test_a_large_file_is_sent_in_pieces(store: Store):
    content = bytes(range(256)) * 40_000
    run = finished(store, OWNER, files={"model.onnx": content})
    answer = get(run, "model.onnx")
    assert answer.body == content
    assert int(answer.headers["content-length"]) == len(content)
    assert max(map(len, answer.pieces)) <= 2**16


@pytest.mark.parametrize(
    "name", ["gallery.safetensors", "scores.safetensors", "record.sqlite", "..%2Frecord", "x.onnx"]
)
def test_nothing_else_of_the_store_is_served(store: Store, name: str):
    files = {"gallery.safetensors": b"images", "scores.safetensors": b"scores"}
    run = finished(store, OWNER, files=files)
    answer = get(run, name, COOKIE)
    assert answer.status == 404
    assert b"no longer on the server" in answer.body or b"Not Found" in answer.body


def test_what_is_gone_or_never_was_is_a_sentence(store: Store):
    assert get("0" * 32, "model.onnx").status == 404
    assert get("0" * 32, "bundle.zip").body.startswith(b"There is no such run")
    run = finished(store, OWNER)
    store.files(run.id)["model.onnx"].path.unlink()
    answer = get(run, "model.onnx")
    assert answer.status == 404
    assert b"no longer on the server" in answer.body


def test_a_run_that_is_not_done_has_no_files(store: Store):
    assert get(running(store, OWNER), "config.json", COOKIE).status == 404


def test_paths_are_for_the_owner_only(store: Store):
    config = RunConfig(data=f"{SECRET}/photos")
    run = finished(store, OWNER, config, out=f"{SECRET}/work")
    for name in ("config.json", "result.json"):
        mine, theirs = get(run, name, COOKIE), get(run, name, "b" * 32)
        assert theirs.status == mine.status == 200
        assert SECRET.encode() in mine.body
        assert SECRET.encode() not in theirs.body
        assert SECRET not in str(theirs.headers)
    assert json.loads(get(run, "config.json", COOKIE).body) == config.to_dict()


@pytest.fixture
def computed(store: Store) -> Run:
    """A run by the real engine."""
    submitted = store.submit(RunConfig(epochs=1), OWNER)
    store.claim("test")
    work = store.workspace.run(submitted.id)
    compute(submitted.config, out=work)
    store.finish(submitted.id, "done", folder=work)
    run = store.get(submitted.id)
    assert run is not None
    return run


def test_the_bundle_has_charts_and_leaves_nothing_behind(
    computed: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answer = get(computed, "bundle.zip", query="encodings=compact")
    assert answer.status == 200, answer.body
    assert answer.headers["content-disposition"].endswith(f"{computed.id[:6]}-bundle.zip")
    assert not list(tmp_path.glob("prospr-bundle-*"))
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert {n for n in names if n.endswith(".onnx")} == {"model-compact.onnx"}
        charts = [n for n in archive.namelist() if n.endswith(".png")]
        assert {name.rpartition("/")[2] for name in charts} == {
            "file-size.png",
            "training-accuracy.png",
            "training-loss.png",
            "weights-kept.png",
        }
        assert all(archive.read(name).startswith(b"\x89PNG") for name in charts)
    assert get(computed, "bundle.zip", query="encodings=compact").body == answer.body


def test_a_bundle_that_cannot_be_made_is_a_sentence(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = finished(store, OWNER, format=1, exports={"dense": RESULT["onnx"]})
    answer = get(run, "bundle.zip")
    assert answer.status == 404
    assert answer.body.startswith(b"The run lacks pruned.safetensors and dense.safetensors")
    files = {"pruned.safetensors": b"p", "dense.safetensors": b"d"}
    config = RunConfig(seed=1)
    run = finished(store, OWNER, config, files, format=1, exports={"dense": RESULT["onnx"]})
    answer = get(run, "bundle.zip", query="encodings=int9")
    assert answer.status == 400
    assert b"no ONNX file in the encoding 'int9'" in answer.body
    assert not list(tmp_path.glob("prospr-bundle-*"))


def test_a_file_that_was_changed_on_the_disk_is_not_handed_out(store: Store):
    run = finished(store, OWNER)
    network = store.files(run.id)["model.onnx"].path
    assert get(run, "model.onnx").body == b"the network"
    network.write_bytes(b"the netw0rk")
    for name in ("bundle.zip", "model.onnx"):
        answer = get(run, name)
        assert answer.status == 404
        assert b"the netw0rk" not in answer.body
    # It is gone for good, so that the run can be computed again.
    assert not network.exists()
    assert store.submit(run.config, OWNER).id != run.id


def test_a_file_is_read_for_its_digest_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    run, read = finished(store, OWNER), []
    monkeypatch.setattr(artifacts, "digest_of", lambda path: read.append(path) or path.name)
    for _ in range(3):
        get(run, "model.onnx")
    assert len(read) == 1
    os.utime(read[0], (1, 1))
    get(run, "model.onnx")
    assert len(read) == 2


def answered(host: str, allowed: list[str], monkeypatch, path: str = "/") -> Response:
    monkeypatch.setattr(
        module.is_host_allowed.__globals__["config"], "get_option", lambda _: allowed
    )
    served = Starlette(
        routes=[
            Route(path, lambda _: PlainTextResponse("here", headers={"referrer-policy": "own"}))
            for path in ("/", module.HEALTH)
        ],
        middleware=[Middleware(module.Guarded)],
    )
    return TestClient(served).get(path, headers={"host": host})


def test_every_answer_has_the_headers_that_protect_a_page(monkeypatch: pytest.MonkeyPatch):
    answer = answered("127.0.0.1:8501", [], monkeypatch)
    assert answer.text == "here"
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "own"


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8501", 200), ("[::1]:8501", 200), ("evil.example", 400), ("127.0.0.1.evil", 400)],
)
def test_a_name_that_somebody_made_lead_here_is_refused(host, status, monkeypatch):
    own = tomllib.loads((ROOT / ".streamlit/config.toml").read_text("utf-8"))["server"]
    answer = answered(host, own["allowedHosts"], monkeypatch)
    assert answer.status_code == status
    assert "x-content-type-options" in answer.headers
    if status != 200:
        assert "STREAMLIT_SERVER_ALLOWED_HOSTS" in answer.text


def test_the_health_of_the_server_may_be_asked_by_any_name(monkeypatch: pytest.MonkeyPatch):
    assert answered("127.0.0.1", ["prune.example"], monkeypatch, module.HEALTH).status_code == 200
