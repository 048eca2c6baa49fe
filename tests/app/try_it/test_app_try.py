"""The page "Try it", over the files of a real run."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from app_fakes import found, new, running, words
from PIL import Image
from streamlit.testing.v1 import AppTest

import prospr_engine as pe
from app import pages
from app.services import predictions, runs
from app.services.predictions import Gallery
from app.try_it import draw
from app.try_it import image as try_it
from app.try_it import words as text
from prospr_engine.data.depth import Range
from prospr_engine.errors import DataError, ResourceError
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

SPACE = "\N{NO-BREAK SPACE}"
CONFIG = pe.RunConfig(
    model="mlp",
    epochs=2,
    sparsity=0.97,
    device="cpu",
    loading=pe.LoadingConfig(train_limit=500, test_limit=100),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a real run wrote: digits, a pruned network that is worse than the dense one."""
    out = tmp_path_factory.mktemp("try") / "run"
    pe.run(CONFIG, out=out)
    return out


@pytest.fixture
def run(store: Store, folder: Path) -> Run:
    """That run, of the visitor "alice", done."""
    return done(store, folder)


def done(store: Store, folder: Path, owner: str = "alice", config: pe.RunConfig = CONFIG) -> Run:
    claimed = running(store, owner, config)
    work = store.workspace.run(claimed.id)
    shutil.copytree(folder, work)
    store.finish(claimed.id, "done", folder=work)
    return found(store, claimed.id)


def page(run: Run | None = None, visitor: str = "alice", **widgets: str) -> AppTest:
    at = new(visitor).run().switch_page(pages.TRY_IT)
    if run is not None:
        at.query_params[pages.ID] = run.id
    for name, value in widgets.items():
        at.session_state[name] = value
    return at.run()


def html(at: AppTest) -> str:
    return "".join(element.proto.body for element in at.get("html"))


def seven() -> str:
    """A 7 as the board sends it: white strokes on nothing."""
    ink = np.zeros((draw.SIDE, draw.SIDE, 4), np.uint8)
    ink[60:85, 90:190] = 255
    for row in range(85, 220):
        start = 165 - (row - 85) // 3
        ink[row, start : start + 25] = 255
    file = io.BytesIO()
    Image.fromarray(ink).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def board(monkeypatch):
    """What the browser sends as a drawing: a list with one element."""
    sent = [""]
    asked = []

    def drawn(ground, colours, key):
        asked.append((ground, colours))
        return sent[0]

    monkeypatch.setattr(try_it, "draw", drawn)
    sent.append(asked)
    return sent


def test_without_runs_the_page_says_what_to_do(store):
    at = page()
    assert not at.exception
    assert "needs a finished run" in words(at)
    assert "Start a run" in str(at.get("page_link")[0].proto)
    assert not at.get("vega_lite_chart")


def test_a_run_under_way_is_linked_and_cannot_be_tried_yet(store):
    live = running(store)
    assert "Watch the run" in str(page().get("page_link")[0].proto)
    expected = words(page(live))
    assert "is not done yet, so there are no networks to try" in expected


def test_an_unknown_run_is_reported_and_others_are_offered(run):
    at = page()
    at.query_params[pages.ID] = "0" * 32
    at.run()
    assert "The run in this address does not exist" in words(at)
    assert at.selectbox(key="try-run").value == run.id


def test_a_link_works_for_somebody_else(run, board):
    at = page(run, visitor="bob")
    assert not at.exception
    assert at.selectbox(key="try-run").value == run.id
    assert "Of 100 test images" in words(at)
    assert not page(visitor="bob").selectbox  # but is not listed for them


def test_the_box_chooses_among_finished_runs_and_writes_the_address(store, run, folder, board):
    other = done(store, folder, config=pe.RunConfig(model="mlp", seed=1))
    at = page(run)
    # What tells them apart first: on a telephone the rest does not fit.
    assert sorted(at.selectbox(key="try-run").options)[0].startswith(
        f"90{SPACE}% · 3 epochs · seed 1 · LeNet-300-100 · Digits · ProsPr"
    )
    at.selectbox(key="try-run").select(other.id).run()
    assert at.query_params[pages.ID] in (other.id, [other.id])
    assert not at.exception


def test_an_empty_board_asks_for_a_drawing(run, board):
    at = page(run)
    assert "as soon as you lift the pen" in words(at)
    assert board[1] == [("dark", False)]  # digits are bright on dark, whatever the theme


def test_a_drawing_is_answered_by_both_networks(run, board):
    board[0] = seven()
    at = page(run)
    assert not at.exception
    expected = words(at)
    assert "Both networks say **" in expected or "They disagree" in expected
    assert "8 × 8 grey pixels, bright strokes on a dark background" in expected
    dense, pruned = (chart.proto for chart in at.get("vega_lite_chart"))
    assert dense.alt.startswith("Confidence of the dense network: 7 ")
    assert pruned.alt.startswith("Confidence of the pruned network: ")
    assert predictions.drawn(run, board[0]).shape == (1, 8, 8)


def test_what_is_no_drawing_gets_a_sentence(run, board):
    board[0] = "data:text/html;base64,PHNjcmlwdD4="
    at = page(run)
    assert "clear it and draw again" in at.error[0].value
    assert not at.exception


def test_test_images_come_with_their_answers_and_without_torch(run, board, monkeypatch):
    monkeypatch.setattr(predictions, "answer", lambda *_: pytest.fail("the answers are known"))
    at = page(run, image="test")
    gallery = predictions.gallery(run)
    sampled = np.flatnonzero(gallery.sampled)
    assert f"Test image {gallery.numbers[sampled[0]] + 1} of 100" in words(at)
    at.button(key="try-Next").click().run()
    assert f"Test image {gallery.numbers[sampled[1]] + 1} of 100" in words(at)
    for _ in range(2):
        at.button(key="try-Previous").click().run()
    assert f"Test image {gallery.numbers[sampled[-1]] + 1} of 100" in words(at)
    at.toggle(key="try-changed").set_value(True).run()
    changed, _ = text.members(gallery, "changed")
    last = changed[-1]
    assert f"Test image {gallery.numbers[last] + 1} of 100" in words(at)
    assert "They disagree" in words(at)
    assert not at.exception


def test_an_uploaded_image_is_turned_to_what_the_networks_know(run, board):
    file = io.BytesIO()
    Image.new("L", (50, 80), 255).save(file, "PNG")
    picture = Image.new("L", (80, 80), 255)
    picture.paste(0, (35, 10, 45, 70))
    file = io.BytesIO()
    picture.save(file, "PNG")
    at = page(run, image="upload")
    at.file_uploader(key="try-file").upload("one.png", file.getvalue(), "image/png").run()
    assert not at.exception
    (swap,) = [toggle for toggle in at.toggle if toggle.label == text.SWAP]
    assert swap.value is True
    assert len(at.get("vega_lite_chart")) == 2
    before = [chart.proto.alt for chart in at.get("vega_lite_chart")]
    swap.set_value(False).run()
    assert [chart.proto.alt for chart in at.get("vega_lite_chart")] != before


def test_an_upload_that_is_no_image_gets_a_sentence(run, board):
    at = page(run, image="upload")
    at.file_uploader(key="try-file").upload("a.png", b"MZ", "image/png").run()
    assert "This image cannot be read" in at.error[0].value
    assert not at.exception


def test_changed_answers_are_counted_and_shown(run, board):
    at = page(run)
    gallery = predictions.gallery(run)
    result = RunRecord.read(runs.files(run)["result.json"].path)
    changed = np.flatnonzero(
        np.array(result.predictions["dense"]) != np.array(result.predictions["pruned"])
    )
    assert f"the predictions of {len(changed)} changed" in words(at)
    shown = html(at)
    assert shown.count("<li>") == min(24, len(changed))
    assert f"Test image {changed[0] + 1}, of class {gallery.labels[changed[0]]}" in shown
    group = at.segmented_control(key=f"changed-{run.id}")
    lost, total = text.members(gallery, "lost")
    assert f"Right before, wrong now: {total}" in str(group.options)
    group.set_value("lost").run()
    assert html(at).count("<li>") == min(24, len(lost))
    assert html(at).count('Dense: <span class="right"') == min(24, len(lost))


@pytest.mark.parametrize("data", [f"upload:{'a' * 64}/family.zip", "/home/alice/family"])
def test_images_of_their_own_are_shown_to_their_owner_alone(store, folder, board, data):
    own = dataclasses.replace(CONFIG, data=data)
    run = done(store, folder, "alice", own)
    mine, theirs = (page(run, visitor=name, image="test") for name in ("alice", "bob"))
    assert "<li>" in html(mine)
    assert "<li>" not in html(theirs)
    assert not any("Only the owner of this run" in text for text in (words(mine), html(mine)))
    assert words(theirs).count("Only the owner of this run") == 2
    assert "Network input" not in words(theirs)


def test_images_of_a_folder_are_shown_where_everybody_may_name_it(
    store, folder, board, monkeypatch
):
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    printed = done(store, folder, "", dataclasses.replace(CONFIG, data="/home/alice/family"))
    assert "<li>" in html(page(printed, visitor="bob"))


def test_class_names_of_strangers_are_text(store, folder, tmp_path, board):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    expected = json.loads((copy / "result.json").read_text())
    expected["data"]["classes"] = [f"<script>alert({i})</script>**" for i in range(10)]
    (copy / "result.json").write_text(json.dumps(expected))
    at = page(done(store, copy), image="test")
    assert not at.exception
    assert "<script>" not in html(at).replace(try_it.__doc__, "")
    assert "&lt;script&gt;" in html(at)
    assert r"\*\*" in words(at)


@pytest.mark.parametrize("missing", ["gallery.safetensors", "dense.safetensors"])
def test_files_that_are_gone_are_reported(store, folder, tmp_path, board, missing):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / missing).unlink()
    board[0] = seven()
    at = page(done(store, copy))
    assert not at.exception
    assert "no longer on the server" in at.error[0].value
    assert str(tmp_path) not in words(at)


def test_damaged_files_are_reported_without_a_path_of_the_server(store, folder, tmp_path, board):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "pruned.safetensors").write_bytes(b"nothing")
    run = done(store, copy)
    with pytest.raises(DataError, match="start the run again") as caught:
        predictions.answer(run, np.zeros((1, 8, 8), np.uint8))
    assert "/" not in str(caught.value)


def test_networks_too_large_for_everybodys_server_are_refused(run, monkeypatch):
    monkeypatch.setattr(predictions, "LARGEST", 1000)
    with pytest.raises(ResourceError, match="Download the ONNX file"):
        predictions.answer(run, np.zeros((1, 8, 8), np.uint8))


def test_an_image_of_more_bits_is_converted_as_the_data_were(run, monkeypatch):
    kept = dataclasses.replace(predictions.gallery(run), ranges=(Range(0, 4_095, True),))
    monkeypatch.setattr(predictions, "gallery", lambda run: kept)
    values = np.arange(0, 1024, 16, dtype=np.uint16).reshape(8, 8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    assert np.array_equal(predictions.uploaded(run, stream.getvalue())[0], values // 16)


def gallery(labels, dense, pruned, counts=None) -> Gallery:
    outcomes = {"right": 0, "lost": 0, "gained": 0, "wrong": 0, "changed": 0}
    labels, dense, pruned = (np.array(a) for a in (labels, dense, pruned))
    none = Gallery(labels, labels, labels, labels > -1, {"dense": dense, "pruned": pruned}, {}, {})
    for i in none.outcomes:
        outcomes[list(outcomes)[i]] += 1
    return Gallery(
        labels, labels, labels, labels > -1, {"dense": dense, "pruned": pruned}, {},
        counts or outcomes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("dense", "pruned", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], "The predictions of all 3 test images are unchanged."),
        ([0, 1, 0], [0, 1, 0], "The predictions of all 3 test images are unchanged. 1 is wrong "
         "in both."),
        ([0, 0, 1], [1, 0, 0], "Of 3 test images, the predictions of 2 changed: 1 went from right "
         "to wrong and 1 from wrong to right."),
        ([1, 0, 0], [2, 0, 0], "Of 3 test images, the predictions of 1 changed: 1 from one wrong "
         "answer to another. 1 is wrong in both."),
    ],
)  # fmt: skip
def test_counts_in_words(dense, pruned, expected):
    assert text.counts(gallery([0, 0, 0], dense, pruned)).startswith(expected)


@pytest.mark.parametrize(
    ("says", "truth", "expected"),
    [
        (("7", "7"), None, "Both networks say **7**."),
        (("7", "7"), "7", "Both networks say **7**, which is right."),
        (("7", "7"), "1", "Both networks say **7**; it is **1**."),
        (("7", "1"), None, "They disagree: the dense network says **7**, the pruned one **1**."),
        (("7", "1"), "1", "They disagree: the dense network says **7**, the pruned one **1**. "
         "The pruned network is right."),
        (("7", "1"), "3", "They disagree: the dense network says **7**, the pruned one **1**; "
         "it is **3**."),
    ],
)  # fmt: skip
def test_the_verdict(says, truth, expected):
    assert text.verdict(dict(zip(("dense", "pruned"), says, strict=True)), truth) == expected


def test_the_classes_that_either_network_believes_in_are_compared():
    shares = {"dense": np.array([0.1, 0.7, 0.2, 0]), "pruned": np.array([0, 0.05, 0.05, 0.9])}
    assert text.top("abcd", shares, 3) == [3, 1, 2]
