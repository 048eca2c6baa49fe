"""Studies in the list of runs: what each is, how far it is, and what can be done with it."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from app_fakes import RESULT, finished, found, keys, linked, listed, words

from app import access
from app.runs import library
from app.services import studies
from app.ui import studies as text
from prospr_engine.config import RunConfig
from prospr_engine.errors import StoreError
from prospr_engine.store.records import STATES
from prospr_engine.store.schema import connect
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig
from prospr_engine.sweeps.search_config import SearchConfig

FOUR = SweepConfig(methods=("snip", "magnitude"), sparsities=(0.8, 0.98))


def swept(store: Store, done: int = 4, failed: int = 0, owner: str = "alice") -> Study:
    """A sweep of four runs, so many of which are over."""
    study = store.submit_study("sweep", FOUR, owner)
    for number in range(done + failed):
        run = store.claim("test")
        assert run
        if number < done:
            folder = store.workspace.run(run.id)
            finished_in(store, run.id, folder)
        else:
            store.finish(run.id, "failed", error="The loss became NaN.")
    return now(store, study)


def finished_in(store: Store, id: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    output = {**copy.deepcopy(RESULT), "config": found(store, id).config.to_dict()}
    (folder / "model.onnx").write_bytes(b"x")
    (folder / "result.json").write_text(json.dumps(output))
    store.finish(id, "done", folder=folder)


def now(store: Store, study: Study) -> Study:
    again = store.study(study.id)
    assert again
    return again


# What is listed


def test_a_sweep_stands_above_the_runs_and_its_runs_do_not(store: Store):
    study = swept(store, done=3)
    finished(store, config=RunConfig(seed=9))
    at = listed()
    assert linked(at)["Sweep\\: Small CNN on Digits"] == f"study={study.id}"
    output = words(at)
    assert "Running · 3 of 4 runs done · just now" in output
    assert "SNIP and Magnitude · 80, 98\N{NO-BREAK SPACE}% removed · 1 seed · 3 epochs" in output
    assert "1 run." in output
    assert len(at.checkbox) == 1
    assert [bar.proto.value for bar in at.get("progress")] == [75]


def test_the_runs_of_studies_are_shown_if_somebody_asks(store: Store):
    swept(store)
    assert "There are no single runs." in words(listed())
    at = listed()
    at.toggle(key="cells").set_value(True).run()
    assert len(at.checkbox) == 4
    assert words(at).count("of a sweep or search") == 4
    assert len(listed(cells="true").checkbox) == 4


def test_without_studies_the_page_is_as_before(store: Store):
    swept(store, owner="bob")
    at = listed()
    assert "No runs yet" in words(at)
    assert not at.toggle


def test_studies_of_the_command_line_are_seen_but_left_to_it(store: Store):
    study = swept(store, done=0, owner="")
    at = listed()
    assert "command line" in words(at)
    assert not {f"study-stop-{study.id}", f"study-delete-{study.id}"} & keys(at)


def test_the_search_looks_among_studies_too(store: Store):
    swept(store)
    assert "Sweeps and searches" in words(listed(find="magnitude 98"))
    assert "Sweeps and searches" not in words(listed(find="resnet"))


def test_many_studies_are_folded(store: Store):
    for seed in range(7):
        study = store.submit_study("sweep", SweepConfig(seeds=(seed,)), "alice", f"n{seed}")
        store.stop_study(study.id, "alice")
    at = listed()
    assert [f"n{n}" in linked(at) for n in range(7)] == [n > 1 for n in range(7)]
    at.button(key="all-studies-button").click().run()
    assert all(f"n{n}" in linked(at) for n in range(7))


def test_a_search_says_what_it_looks_for(store: Store):
    store.submit_study("search", SearchConfig(most_lost=0.01), "alice")
    output = words(listed())
    assert "at most 1 point of accuracy lost" in output
    assert "Waiting · 0 runs done so far" in output


def test_settings_of_another_version_are_listed_and_can_be_deleted(store: Store):
    study = swept(store)
    with connect(store.database) as c:
        c.execute("UPDATE studies SET settings = '{\"unheard\": 1}'")
    at = listed()
    assert "Settings of another version" in words(at)
    at.button(key=f"study-delete-{study.id}").click().run()
    at.button(key="sure").click().run()
    assert store.studies() == []


# What is done with them


def test_stop_and_resume(store: Store):
    study = swept(store, done=1)
    at = listed()
    at.button(key=f"study-stop-{study.id}").click().run()
    assert not at.exception
    assert now(store, study).counts["stopped"] == 3
    assert "Stopped · 1 of 4 runs done" in words(at)
    at.button(key=f"study-resume-{study.id}").click().run()
    assert now(store, study).counts["queued"] == 3
    assert f"study-stop-{study.id}" in keys(at)


def test_what_is_done_cannot_be_resumed(store: Store):
    study = swept(store)
    assert not {f"study-stop-{study.id}", f"study-resume-{study.id}"} & keys(listed())
    again = store.submit_study("sweep", FOUR, "alice")  # its runs are known
    assert again.counts["done"] == 4
    assert f"study-resume-{again.id}" not in keys(listed())


def test_a_failed_run_is_counted_and_can_begin_again(store: Store):
    study = swept(store, done=3, failed=1)
    at = listed()
    assert "Done, with failures · 3 of 4 runs done, 1 failed" in words(at)
    at.button(key=f"study-resume-{study.id}").click().run()
    assert now(store, study).counts["queued"] == 1


def test_a_study_that_cannot_be_resumed_says_why(store: Store):
    study = swept(store, done=1)
    store.stop_study(study.id, "alice")
    store.submit_study("sweep", SweepConfig(seeds=(5,)), "alice")
    at = listed()
    at.button(key=f"study-resume-{study.id}").click().run()
    assert "already have" in at.error[0].value


def test_renaming(store: Store):
    study = swept(store)
    at = listed()
    at.button(key=f"study-rename-{study.id}").click().run()
    at.text_input(key=f"name-{study.id}").set_value("My *first*")
    at.button(key="save").click().run()
    assert now(store, study).name == "My *first*"
    assert "My \\*first\\*" in linked(at)
    assert at.toast[0].value == "Renamed."
    assert "save" not in keys(at)


def test_deleting_asks_first_and_says_what_goes(store: Store):
    study = swept(store, done=2)
    at = listed()
    at.button(key=f"study-delete-{study.id}").click().run()
    assert "It is not done yet and will be stopped. 4 runs with results" in words(at)
    at.button(key="keep").click().run()
    assert store.study(study.id)
    at.button(key=f"study-delete-{study.id}").click().run()
    at.button(key="sure").click().run()
    assert not at.exception
    assert store.study(study.id) is None
    assert store.runs(studies=True) == []
    assert "No runs yet" in words(at)


def test_a_question_whose_study_went_closes(store: Store):
    study = swept(store)
    at = listed()
    at.button(key=f"study-delete-{study.id}").click().run()
    store.delete_study(study.id, "alice")
    at.run()
    assert not at.exception
    assert "sure" not in keys(at)


@pytest.mark.parametrize("change", [studies.stop, studies.resume, studies.delete])
def test_others_cannot_change_a_study(store: Store, change):
    study = swept(store, done=1)
    with pytest.raises(StoreError, match="someone else"):
        change(study, "bob")
    with pytest.raises(StoreError, match="someone else"):
        studies.rename(study, "bob", "mine")


def test_several_runs_are_compared(store: Store):
    ids = [finished(store, config=RunConfig(seed=seed)).id for seed in range(3)]
    at = listed()
    at.checkbox[0].check().run()
    assert at.button(key="primary-compare").disabled
    at.checkbox[1].check().run()
    at.checkbox[2].check().run()
    at.button(key="primary-compare").click().run()
    assert dict(at.query_params) == {"runs": ",".join(reversed(ids))}


# What happens elsewhere


def test_what_happens_to_a_study_draws_the_list_anew(store: Store, monkeypatch: pytest.MonkeyPatch):
    drawn: list[int] = []
    monkeypatch.setattr(library.st, "rerun", lambda: drawn.append(1))

    def changes() -> bool:
        nonlocal paces
        drawn.clear()
        library._poll("alice", paces)
        paces = library._versions(store.runs("alice"), store.studies("alice"))
        return bool(drawn)

    paces: list[object] = []
    assert not changes()
    study = swept(store, done=1)
    assert changes()
    assert not changes()
    run = store.claim("test")
    assert run
    store.finish(run.id, "failed", error="No.")
    assert changes()
    store.stop_study(study.id, "alice")
    assert changes()
    store.rename_study(study.id, "alice", "named")
    assert changes()
    assert not changes()


# What others may see


def test_paths_are_for_the_owner_only(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    folder = tmp_path / "secret" / "pets"
    config = SweepConfig(run=RunConfig(data=str(folder)))
    study = studies.start(config, "")
    assert study.settings["run"]["data"] == str(folder)
    monkeypatch.delenv("PROSPR_ALLOW_PATHS")
    seen = access.study_as_seen(study, "alice")
    assert seen.settings["run"]["data"] == "pets"
    assert access.study_as_seen(study, "") is study
    output = words(listed())
    assert "pets" in output
    assert "secret" not in output
    plain = swept(store)
    assert access.study_as_seen(plain, "bob") is plain


# Words


def study(counts: Mapping[str, int], stopped: bool = False, kind: str = "sweep") -> Study:
    all_counts = {**dict.fromkeys(STATES, 0), **counts}
    return Study(  # type: ignore[arg-type]
        id="", name="", owner="", kind=kind, settings={}, guess=None, stopped=stopped, created=0,
        started=None, ended=None, counts=all_counts,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "stopped", "state"),
    [
        ({"queued": 3}, False, "Waiting"),
        ({"queued": 2, "running": 1}, False, "Running"),
        ({"queued": 2, "done": 1}, False, "Running"),
        ({"running": 1, "stopped": 2}, True, "Stopping"),
        ({"done": 1, "stopped": 2}, True, "Stopped"),
        ({"done": 3}, False, "Done"),
        ({"done": 2, "failed": 1}, False, "Done, with failures"),
        ({"failed": 3}, False, "Failed"),
        ({"done": 2}, True, "Stopped"),  # a search that goes no further
    ],
)
def test_the_state_of_a_study(counts: dict[str, int], stopped: bool, state: str):
    assert text.state(study(counts, stopped)) == state
    assert state in text.ICONS


def test_the_progress_of_a_study():
    assert text.progress(study({"done": 12, "failed": 1, "queued": 41})) == (
        "12 of 54 runs done, 1 failed"
    )
    search = study({"done": 1, "running": 1}, kind="search")
    assert text.progress(search) == "1 run done so far"
    assert text.share(study({"done": 1, "failed": 1, "queued": 2})) == 0.5
    assert text.title(dataclasses.replace(search, settings={"run": RunConfig().to_dict()})) == (
        "Search: Small CNN on Digits"
    )
