"""What visitors may see and do: where a run's files lie is not for everybody."""

from __future__ import annotations

import dataclasses
import json

import pytest
from app_fakes import RESULT, finished, found, new, running, words
from app_run import opened, part
from further_files import give_more_settings_a_file
from streamlit.testing.v1 import AppTest

from app import access, pages, session
from app.forms import address
from app.runs.search import search
from app.services import RunConfig, studies
from app.services.uploads import check_tokens
from app.ui.labels import PATH
from prospr_engine.config import TrainingConfig
from prospr_engine.errors import ConfigError, DataError
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store
from prospr_engine.sweeps.config import SweepConfig

SECRET = "/home/x/secret"
CONFIG = RunConfig(
    data=f"{SECRET}/photos", weights=f"{SECRET}/w.safetensors", sparsity=0.8, epochs=7
)


def everything(at: AppTest) -> str:
    """All that the browser gets, and what the session would show next."""
    assert not at.exception
    tree = "".join(str(block.proto) for block in at.main if hasattr(block, "proto"))
    code = "".join(block.value for block in at.code)
    return tree + words(at) + code + str(at.session_state) + str(at.query_params)


@pytest.fixture
def run(store: Store) -> Run:
    """A run of the command line, of files in a home folder."""
    return finished(store, "", CONFIG)


def test_others_see_names_and_its_owner_paths(store: Store, run: Run):
    assert SECRET not in everything(opened(run))
    theirs = part(opened(run), "Settings")
    assert SECRET not in everything(theirs)
    assert "--data photos --method" in theirs.code[0].value
    assert "--weights w.safetensors" in theirs.code[0].value
    mine = part(opened(finished(store, "alice", CONFIG)), "Settings")
    assert f"--data {SECRET}/photos" in mine.code[0].value


def test_any_setting_that_may_name_a_file_is_hidden(store: Store, monkeypatch):
    give_more_settings_a_file(monkeypatch)
    config = RunConfig(
        device=f"{SECRET}/device.safetensors",
        training=TrainingConfig(schedule=f"{SECRET}/schedule.safetensors"),
    )
    page = part(opened(finished(store, "", config)), "Settings")
    assert SECRET not in everything(page)
    assert "device.safetensors" in page.code[0].value
    assert "schedule.safetensors" in page.code[0].value
    seen = access.as_seen(found(store, store.runs()[0].id), "bob").settings
    assert SECRET not in json.dumps(seen)
    for stranger in (config, RunConfig(device=f"upload:{'0' * 64}/x.safetensors")):
        with pytest.raises(ConfigError, match=r"\.safetensors"):
            check_tokens(stranger, "bob")


def test_where_paths_may_be_named_they_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    assert f"--data {SECRET}/photos" in part(opened(run), "Settings").code[0].value


def test_why_it_failed_names_no_place_either(store: Store):
    id = running(store, "", CONFIG).id
    store.finish(id, "failed", error=f"{SECRET}/photos/a.png cannot be read; remove it.")
    at = opened(found(store, id))
    assert "photos/a.png cannot be read" in words(at).replace("\\", "")
    library = new().run().switch_page(pages.RUNS).run()
    for page in (at, library):
        assert SECRET not in everything(page).replace("\\", "")


def test_other_pages_know_names_only(store: Store, run: Run):
    other = finished(store, "", dataclasses.replace(CONFIG, data=f"{SECRET}/pets"))
    at = new().run().switch_page(pages.COMPARE)
    at.query_params.update(pages.to_comparison([run.id, other.id]))
    at.run()
    assert "photos / pets" in words(at)
    trying = new().run().switch_page(pages.TRY_IT)
    trying.query_params[pages.ID] = run.id
    for page in (at, trying.run()):
        assert SECRET not in everything(page)


def test_the_search_finds_names_only(run: Run):
    seen = access.as_seen(run, "alice")
    assert search([seen], "photos") == [seen]
    assert search([seen], "secret") == []
    assert search([run], "secret") == [run]


def test_settings_are_used_again_without_what_is_not_the_visitors(store: Store, run: Run):
    at = opened(run)
    at.button(key="again").click().run()
    at.switch_page(pages.NEW).run()
    errors = [error.value.replace("\\", "") for error in at.error]
    assert any(error.startswith("photos cannot be used here") for error in errors)
    assert any(error.startswith("w.safetensors cannot be used here") for error in errors)
    assert at.button(key="primary-start").disabled
    assert (at.slider(key="sparsity").value, at.number_input(key="epochs").value) == (80.0, 7)
    assert SECRET not in everything(at)


def test_the_address_holds_a_path_only_where_one_may_be_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PROSPR_ALLOW_PATHS", raising=False)
    assert SECRET not in str(address(CONFIG))
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", "1")
    held = address(CONFIG)
    assert (held["data"], held["folder"]) == (PATH, CONFIG.data)


def test_downloads_name_no_place(run: Run):
    settings = json.dumps(CONFIG.to_dict()).encode()
    output = json.loads(access.visible_json(settings, run, "alice"))
    assert output == CONFIG.to_dict() | {"data": "photos", "weights": "w.safetensors"}
    out = {"data": {"notes": [f"{SECRET}/photos/a is empty"]}, "out": "/server/work/ab"}
    result = json.dumps(RESULT | out | {"config": CONFIG.to_dict()}).encode()
    output = access.visible_json(result, run, "alice").decode()
    assert SECRET not in output
    assert "/server" not in output
    assert json.loads(output)["data"]["notes"] == ["photos/a is empty"]
    with pytest.raises(DataError, match="no longer be read"):
        access.visible_json(b"[1]", run, "alice")


def test_their_owner_gets_the_files_byte_for_byte(store: Store):
    content = json.dumps(CONFIG.to_dict(), indent=7).encode()
    mine = finished(store, "alice", CONFIG)
    assert access.visible_json(content, mine, "alice") == content


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/x/photos/", "photos"),
        ("../photos.zip", "photos.zip"),
        ("/home/x/digits", "./digits"),  # not those of the catalogue
        ("digits", "digits"),
        (f"upload:{'a' * 64}/cats.zip", f"upload:{'a' * 64}/cats.zip"),
    ],
)
def test_names_of_paths(store: Store, path: str, name: str):
    run = store.get(store.submit(RunConfig(data=path)).id)
    assert run is not None
    seen = access.as_seen(run, "alice")
    assert seen.settings["data"].rstrip("/") == name
    assert access.as_seen(seen, "alice").settings == seen.settings


def test_a_visitor_is_nobody_elses_owner(store: Store, run: Run):
    assert access.as_seen(run, "") == run  # the command line's own
    assert access.as_seen(run, session.VISITOR) != run


# What one may do


def test_only_the_owner_may_change_a_run_or_a_study(store: Store):
    mine = store.submit(RunConfig(), "alice")
    study = store.submit_study("sweep", SweepConfig(methods=("snip",)), "alice")
    for what in (mine, study):
        assert access.owns(what, "alice")
        assert not access.owns(what, "bob")
        assert not access.owns(what, "")


@pytest.mark.parametrize(
    ("data", "paths", "everybody"),
    [
        ("digits", "", True),
        (f"{SECRET}/photos", "", False),
        (f"{SECRET}/photos", "1", True),
        (f"upload:{'0' * 64}/cats.zip", "", False),
        (f"upload:{'0' * 64}/cats.zip", "1", False),
    ],
)
def test_images_of_one_s_own_are_seen_by_their_owner(
    store: Store, monkeypatch: pytest.MonkeyPatch, data: str, paths: str, everybody: bool
):
    monkeypatch.setenv("PROSPR_ALLOW_PATHS", paths)
    run = store.submit(RunConfig(data=data), "alice")
    assert access.shows_images(run, "alice")
    assert access.shows_images(run, "bob") == everybody


def test_the_quota_of_studies_is_known_before_the_store_refuses(store: Store):
    first, second = (SweepConfig(methods=(name,)) for name in ("snip", "magnitude"))
    limits = Limits(most_studies_per_visitor=1)
    assert access.blocking_study(first, studies.own("alice"), limits) is None
    study = store.submit_study("sweep", first, "alice")
    blocking = access.blocking_study(second, studies.own("alice"), limits)
    assert blocking is not None
    assert blocking.id == study.id
    assert (
        access.blocking_study(first, studies.own("alice"), limits) is None
    )  # the same is no other
    assert access.blocking_study(second, studies.own("bob"), limits) is None
    assert (
        access.blocking_study(second, studies.own("alice"), Limits(most_studies_per_visitor=2))
        is None
    )
