"""The page of a run that is done: the answer, what it rests on, and what to take home."""

from __future__ import annotations

import re
from typing import Any

import pytest
from app_fakes import RESULT, finished, found, keys, linked, words
from app_run import SPACE, offered, opened, part

from prospr_engine.config import RunConfig
from prospr_engine.store.store import Store


def test_the_result_gives_the_answer_first(store: Store):
    at = opened(finished(store))
    assert not at.error
    assert (
        at.title[0].value
        == f"90{SPACE}% of the weights removed, 1.1 points of accuracy lost, within chance"
    )
    written = words(at)
    assert "359 test images" in written
    assert f"Small CNN · Digits · ProsPr · 90{SPACE}% removed · 3 epochs · seed 0" in written
    assert "Your run" in written
    assert "Layer 3 lost all of its 640 weights" in written  # as the chart calls it
    assert written.index("lost all of its") < written.index("can be trusted")
    assert [m.value for m in at.metric][:1] == ["1,602"]
    change = at.metric[1].proto
    assert change.delta == "\N{MINUS SIGN}1.1 points"
    assert change.direction == change.MetricDirection.DOWN


def test_copies_of_test_images_are_a_warning_beside_the_answer(store: Store):
    copies = "16 of 45 test images have the same pixels."
    data = {**RESULT["data"], "notes": ["Some were skipped.", copies], "warnings": [copies]}
    assert copies in [warning.value for warning in opened(finished(store, data=data)).warning]


TABLES = ["figures.csv", "layers.csv", "training.csv", "classes.csv"]
NETWORKS = {"pruned.safetensors": b"pruned", "dense.safetensors": b"dense"}


def test_all_files_are_offered_the_network_first(store: Store):
    run = finished(store, files=NETWORKS)
    found = offered(opened(run))
    assert list(found) == [
        "model.onnx",
        *NETWORKS,
        "masks.safetensors",
        "config.json",
        "result.json",
        *TABLES,
    ]
    assert found["model.onnx"] == f"files/{run.id}/model.onnx"


def test_the_page_holds_no_file(store: Store):
    """A download button would keep its bytes in the memory of the server."""
    assert not opened(finished(store, files=NETWORKS)).get("download_button")


def test_columns_appear_with_their_figures(store: Store):
    def heads(**figures: Any) -> list[str]:
        export = RESULT["onnx"] | figures
        config = RunConfig(seed=len(figures))
        run = finished(store, config=config, format=1, exports={"dense": export})
        (table,) = (e.proto.body for e in opened(run).get("html") if "<table" in e.proto.body)
        return re.findall(r'<th scope="col"[^>]*>([^<]+)', table)

    assert heads() == ["File", "Size", "Checks"]
    assert heads(zipped=1000, accuracy=0.9, latency_ms=1.5) == [
        "File",
        "Size",
        "Zipped",
        "Accuracy",
        "Time per image",
        "Checks",
    ]


def test_the_bundle_has_the_chosen_files(store: Store):
    half = RESULT["onnx"] | {"path": "model-compact.onnx"}
    exports = {"dense": RESULT["onnx"], "compact": half}
    files = {**NETWORKS, "model-compact.onnx": b"compact"}
    run = finished(store, files=files, format=1, exports=exports)
    at = opened(run)

    def bundle() -> Any:
        (button,) = (b.proto for b in at.get("link_button") if b.proto.label.endswith("(zip)"))
        return button

    assert (bundle().url, bundle().disabled) == (f"files/{run.id}/bundle.zip", False)
    at.pills(key="bundle-encodings").set_value(["compact"]).run()
    assert bundle().url == f"files/{run.id}/bundle.zip?encodings=compact"
    at.pills(key="bundle-encodings").set_value([]).run()
    assert bundle().disabled


def test_files_that_are_gone_are_not_offered(store: Store):
    run = finished(store, files=NETWORKS)
    assert "model.onnx" in offered(opened(run))
    store.files(run.id)["model.onnx"].path.unlink()
    at = opened(run)
    assert "model.onnx" not in offered(at)
    assert "no longer on the server" in at.warning[0].value


def test_a_result_that_is_gone_is_reported(store: Store):
    run = finished(store)
    store.files(run.id)["result.json"].path.unlink()
    at = opened(run)
    assert "no longer on the server" in at.error[0].value
    assert "again" in keys(at)


def test_links_carry_the_run(store: Store):
    run = finished(store)
    links_ = linked(opened(run))
    assert links_["Try it"] == f"id={run.id}"
    assert links_["Compare with another run"] == f"runs={run.id}"


def test_the_owner_names_the_run(store: Store):
    run = finished(store)
    at = opened(run)
    at.text_input(key=f"name-{run.id}").set_value("My *first*")
    at.button(key="save-name").click().run()
    assert found(store, run.id).name == "My *first*"
    assert r"**My \*first\***" in words(at)


def test_a_name_that_is_too_long_is_reported(store: Store):
    run = finished(store)
    at = opened(run)
    assert not at.text_input(key=f"name-{run.id}").max_chars  # the browser would drop it unsaid
    at.text_input(key=f"name-{run.id}").set_value("x" * 312)
    at.button(key="save-name").click().run()
    assert at.error[0].value == "This name has 312 characters; use at most 80."
    assert found(store, run.id).name == ""


def test_the_owner_deletes_the_run(store: Store):
    run = finished(store)
    at = opened(run)
    at.button(key="delete").click().run()
    assert not at.exception
    assert store.get(run.id) is None


@pytest.mark.parametrize("visitor", ["bob", ""])
def test_others_can_look_and_take_but_not_change(store: Store, visitor: str):
    run = finished(store, owner="alice" if visitor else "")
    at = opened(run, visitor or "alice")
    assert not {"save-name", "delete"} & keys(at)
    assert len(offered(at)) == 8
    owner = "Somebody else's run" if visitor else "Started on the command line"
    assert owner in words(at)


def test_the_trust_in_the_ranking_is_never_folded_away(store: Store, result: dict[str, Any]):
    many = [{"level": "warning", "text": f"Finding {i}.", "layer": None} for i in range(9)]
    verdict = {"level": "warning", "text": "Not to be trusted.", "layer": None}
    trust = {"trusted": False, "verdict": "Not to be trusted."}
    at = opened(finished(store, trust=trust, findings=[*many, verdict]))
    (folded,) = (e for e in at.expander if "more" in e.label)
    assert folded.label == "3 more"
    assert "trusted" not in "".join(m.value for m in folded.markdown)
    assert words(at).count(":orange[:material/warning:] Not to be trusted.") == 1


def test_training_that_diverged_stands_beside_the_answer(store: Store, result: dict[str, Any]):
    at = opened(finished(store, loss={"dense": 0.2, "pruned": 2e16}))
    assert "training of the pruned network diverged" in at.error[0].value
    assert "learning rate" in at.error[0].value


def test_a_failed_proof_is_not_called_proven(store: Store, result: dict[str, Any]):
    onnx = result["onnx"]
    onnx["ok"] = onnx["checks"][0]["ok"] = False
    onnx["checks"][0]["text"] = "The ONNX checker found an error: odd."
    at = opened(finished(store, onnx=onnx))
    assert "The file failed its checks" in words(at)
    assert r":red[:material/dangerous:] The ONNX checker found an error\: odd." in words(at)


def test_the_same_run_from_the_command_line(store: Store):
    code = [block.value for block in part(opened(finished(store)), "Settings").code]
    assert code[0].startswith(
        "OMP_NUM_THREADS=1 .venv/bin/python -m prospr_engine run --model small_cnn"
    )
    assert "pe.RunConfig(" in code[1]


def test_an_upload_is_called_by_its_own_name(store: Store):
    token = f"upload:{'a' * 64}/cats and dogs.zip"
    at = part(opened(finished(store, config=RunConfig(data=token))), "Settings")
    assert "cats and dogs.zip is the uploaded file" in words(at).replace("\\", "")
    assert "--data 'cats and dogs.zip'" in at.code[0].value
    assert "upload:" not in words(at).replace("\\", "") + at.code[0].value + at.code[1].value


def test_no_path_of_the_server_is_on_the_page(store: Store):
    at = opened(finished(store))
    for name in ("Which weights", "File size", "Speed", "Training", "Checks", "Settings"):
        written = words(part(at, name))
        assert str(store.folder) not in written
        assert "/server/work" not in written


def test_where_the_numbers_come_from(store: Store):
    written = words(part(opened(finished(store)), "Settings")).replace("\\", "")
    for fact in ("x86_64 (cpu, 1 thread)", "torch 2.11.0", "**Seed**: 0", "d" * 64):
        assert fact in written
