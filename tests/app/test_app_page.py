"""The first at: choosing, watching, the result, and what is said when it goes wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from app_fakes import FakeLine, new, words
from streamlit.testing.v1 import AppTest

from app import charts
from app.components.live import STAGES
from app.components.result import reader
from app.text.intro import HOW
from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError

START = "primary-start"


def started(at: AppTest, line: FakeLine, **changes: object) -> AppTest:
    at.button(key=START).click().run()
    job = line.jobs[-1]
    for name, value in changes.items():
        setattr(job, name, value)
    return at


def test_the_empty_page_says_what_will_happen(at: AppTest):
    assert not at.exception
    assert [t.value for t in at.title] == ["Prune before training"]
    assert at.markdown[0].value == HOW  # Streamlit writes stray strings of a script on the page
    assert "What happens when you press the button" in words(at)
    assert at.selectbox(key="form.model").value == "small_cnn"
    assert at.selectbox(key="form.data").value == "digits"
    assert at.slider(key="form.sparsity").value == 90
    assert not at.button(key=START).disabled


def test_the_button_starts_what_was_chosen_and_puts_it_into_the_address(
    at: AppTest, line: FakeLine
):
    at.selectbox(key="form.model").select("resnet20").run()
    at.slider(key="form.sparsity").set_value(98.5).run()
    at.number_input(key="form.epochs").set_value(7).run()
    at.button(key=START).click().run()
    assert not at.exception
    (job,) = line.jobs
    assert (job.config.model, job.config.sparsity, job.config.epochs) == ("resnet20", 0.985, 7)
    assert at.query_params["run"] in (job.id, [job.id])
    assert at.button(key=START).disabled


def test_a_waiting_run_tells_its_place_in_the_line(at: AppTest, line: FakeLine):
    line.start(RunConfig())
    started(at, line).run()
    assert "Waiting: 1 run is ahead of yours" in words(at)


def test_a_running_one_tells_step_and_epochs(at: AppTest, line: FakeLine, result):
    started(at, line, state="running")
    job = line.jobs[0]
    at.run()
    assert "Starting the engine" in progress(at)
    job.add({"event": "StageStarted", "stage": "score", "text": "Scoring the weights with ProsPr"})
    text = "Looking back through step 2 of 3"
    job.add({"event": "Progress", "stage": "score", "done": 5, "total": 8, "unit": "steps",
             "text": text})  # fmt: skip
    at.run()
    assert f"{text} (5 of 8 steps)" in progress(at)
    assert "**Score**" in words(at)
    job.add({"event": "Pruned", **pruned(result)})
    job.add({"event": "StageStarted", "stage": "train", "text": "Training"})
    for epoch in result["history"][:2]:
        job.add({"event": "EpochEnded", **epoch})
    at.run()
    assert not at.exception
    assert "What was kept of every layer" in words(at)
    assert "Accuracy while training" in words(at)
    assert "lost all of its 640 weights" in words(at)


def test_stop_asks_the_run_to_stop_and_says_what_is_left(at: AppTest, line: FakeLine, result):
    started(at, line, state="running").run()
    at.button(key="stop").click().run()
    job = line.jobs[0]
    assert job.stopping
    assert "Stopping" in words(at)
    assert at.button(key="stop").disabled
    job.add({"event": "Pruned", **pruned(result)})
    job.end("stopped")
    at.run()
    assert "The run was stopped" in words(at)
    assert "What was kept of every layer" in words(at)
    assert not at.button(key=START).disabled


def test_the_result_gives_the_answer_first(at: AppTest, line: FakeLine, result):
    started(at, line)
    finish(line, result)
    at.run()
    assert not at.exception
    assert at.header[0].value == (
        "90\N{NO-BREAK SPACE}% of the weights removed; test accuracy 96.1\N{NO-BREAK SPACE}% "
        "instead of 97.2\N{NO-BREAK SPACE}%, 1.1 points lower."
    )
    written = words(at)
    assert "359 test images" in written
    assert "Layer 3 lost all of its 640 weights" in written  # as the chart calls it
    assert written.index("lost all of its") < written.index("can be trusted")
    assert ":green[:material/check_circle:] The ONNX checker finds no fault." in written
    assert [m.value for m in at.metric][:1] == ["1,602"]
    change = at.metric[1].proto
    assert change.delta == "\N{MINUS SIGN}1.1 points"
    assert change.direction == change.MetricDirection.DOWN
    labels = {button.proto.label for button in at.get("download_button")}
    assert labels == {"Download model.onnx (254 kB)", "Download masks", "Download result",
                      "Download settings"}  # fmt: skip
    code = [block.value for block in at.code]
    assert code[0].startswith(
        "OMP_NUM_THREADS=1 .venv/bin/python -m prospr_engine run --model small_cnn"
    )
    assert "pe.RunConfig(" in code[1]


def test_files_that_are_gone_are_not_offered(at: AppTest, line: FakeLine, result):
    started(at, line)
    finish(line, result)
    at.run()
    assert not any(button.proto.disabled for button in at.get("download_button"))
    take = reader(line.jobs[0].out / "model.onnx")
    assert take() == b"x"
    shutil.rmtree(line.jobs[0].out)
    assert b"not on the server any more" in take()
    at.run()
    assert all(button.proto.disabled for button in at.get("download_button"))
    assert "not on the server any more" in at.warning[0].value


def test_the_trust_in_the_ranking_is_never_folded_away(at: AppTest, line: FakeLine, result):
    many = [{"level": "warning", "text": f"Finding {i}.", "layer": None} for i in range(9)]
    result["trust"] = {"trusted": False, "verdict": "Not to be trusted."}
    result["findings"] = [*many, {"level": "warning", "text": "Not to be trusted.", "layer": None}]
    started(at, line)
    finish(line, result)
    at.run()
    (folded,) = (e for e in at.expander if "more" in e.label)
    assert folded.label == "3 more"
    assert "trusted" not in "".join(m.value for m in folded.markdown)
    assert words(at).count(":orange[:material/warning:] Not to be trusted.") == 1


def test_a_failed_proof_is_not_called_proven(at: AppTest, line: FakeLine, result):
    result["onnx"]["ok"] = result["onnx"]["checks"][0]["ok"] = False
    started(at, line)
    finish(line, result)
    at.run()
    assert "The file failed its proof" in words(at)
    assert ":red[:material/dangerous:] The ONNX checker" in words(at)


def test_an_error_is_one_sentence_and_the_settings_stay(at: AppTest, line: FakeLine):
    at.slider(key="form.sparsity").set_value(42.0).run()
    started(at, line)
    line.jobs[0].end("failed", "The loss is not a number any more; lower the learning rate.")
    at.run()
    assert [e.value for e in at.error] == [
        "The loss is not a number any more; lower the learning rate."
    ]
    assert not at.exception
    assert at.slider(key="form.sparsity").value == 42
    assert not at.button(key=START).disabled


def test_a_full_line_is_told_beside_the_button(
    at: AppTest, line: FakeLine, monkeypatch: pytest.MonkeyPatch
):
    def full(config: object) -> None:
        raise ResourceError("20 runs are waiting already.")

    monkeypatch.setattr(line, "start", full)
    at.button(key=START).click().run()
    assert [e.value for e in at.error] == ["20 runs are waiting already."]
    assert "run" not in at.query_params


def test_a_refresh_finds_the_run_and_its_settings(at: AppTest, line: FakeLine, result):
    at.selectbox(key="form.model").select("lenet5").run()
    at.number_input(key="form.training.weight_decay").set_value(0.001).run()
    at.selectbox(key="form.scoring.precision").select("float64").run()
    at.number_input(key="form.option.prospr.steps").set_value(5).run()
    started(at, line)
    finish(line, result)
    again = new()
    again.query_params["run"] = line.jobs[0].id
    again.run()
    assert not again.exception
    assert "1.1 points lower" in words(again)
    assert again.selectbox(key="form.model").value == "lenet5"
    again.button(key=START).click().run()
    assert line.jobs[1].config == line.jobs[0].config
    assert line.jobs[1].config.scoring.options == {"steps": 5}


def test_a_result_says_what_it_is_of_and_gives_its_settings_back(
    at: AppTest, line: FakeLine, result
):
    started(at, line)
    finish(line, result)
    at.run()
    of = "Small CNN · Digits · ProsPr · 90\N{NO-BREAK SPACE}% removed · 3 epochs · seed 0"
    assert of in words(at)
    assert "other settings" not in words(at)
    at.selectbox(key="form.model").select("mlp").run()
    at.number_input(key="form.epochs").set_value(9).run()
    assert of in words(at)
    assert "The form shows other settings." in words(at)
    at.button(key="use-settings").click().run()
    assert not at.exception
    assert at.selectbox(key="form.model").value == "small_cnn"
    assert at.number_input(key="form.epochs").value == 3
    assert "other settings" not in words(at)


def test_a_minute_is_promised_for_the_preset_only(at: AppTest):
    assert "about a minute" in words(at)
    at.number_input(key="form.epochs").set_value(300).run()
    assert "about a minute" not in words(at)


def test_charts_are_built_anew_only_when_there_is_something_new(
    at: AppTest, line: FakeLine, result, monkeypatch: pytest.MonkeyPatch
):
    built = []
    monkeypatch.setattr(
        charts.accuracy, "description", lambda rows: built.append(len(rows)) or "words"
    )
    started(at, line, state="running")
    for epoch in result["history"][:2]:
        line.jobs[0].add({"event": "EpochEnded", **epoch})
    at.run().run().run()
    line.jobs[0].add({"event": "EpochEnded", **result["history"][2]})
    at.run().run()
    assert built == [2, 3]


def test_an_unknown_run_in_the_address_is_explained(line: FakeLine):
    at = new()
    at.query_params["run"] = "0123"
    at.run()
    assert not at.exception
    assert "not known here any more" in words(at)
    assert not at.button(key=START).disabled


def test_a_model_that_does_not_exist_is_told_beside_the_choice(line: FakeLine):
    line.start(RunConfig(model="resnet21")).end("stopped")
    at = new()
    at.query_params["run"] = line.jobs[0].id
    at.run()
    assert not at.exception
    assert "There is no model called 'resnet21'" in at.error[0].value.replace("\\", "")
    assert at.button(key=START).disabled


def test_paths_are_offered_only_where_the_server_allows_them(
    at: AppTest, line: FakeLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    assert "A folder or zip on this machine" not in at.selectbox(key="form.data").options
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    at.run()
    at.selectbox(key="form.data").select("A folder or zip on this machine").run()
    assert at.button(key=START).disabled
    at.text_input(key="form.path").set_value(str(tmp_path / "nowhere.zip")).run(timeout=60)
    assert "There is no file or folder" in at.error[0].value
    digits = tmp_path / "mine"
    for name in ("cat", "dog"):
        (digits / name).mkdir(parents=True)
        for number in range(12):
            image(digits / name / f"{number}.png")
    at.text_input(key="form.path").set_value(str(digits)).run()
    assert not at.error
    assert "2 classes, 24 training images of 8 pixels" in words(at)
    at.button(key=START).click().run()
    assert line.jobs[-1].config.data == str(digits)


def test_the_stages_have_words_and_shares():
    assert sum(share for _, share in STAGES.values()) == pytest.approx(1)


def pruned(result: dict) -> dict:
    return {name: result[name] for name in ("findings", "layers", "trust")}


def finish(line: FakeLine, result: dict) -> None:
    folder = line.jobs[-1].out
    folder.mkdir()
    for name in ("model.onnx", "masks.safetensors", "result.json", "config.json"):
        (folder / name).write_bytes(b"x")
    line.jobs[-1].add({"event": "Finished", "result": result})
    line.jobs[-1].end("done")


def progress(at: AppTest) -> str:
    return "\n".join(bar.proto.text for bar in at.get("progress"))


def image(path: Path) -> None:
    from PIL import Image

    Image.new("L", (8, 8), 128).save(path)
