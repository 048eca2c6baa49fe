"""What many visitors, or one with many cookies, can ask of a store together."""

from __future__ import annotations

import sqlite3
import stat
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError
from prospr_engine.store import line, schema
from prospr_engine.store.limits import Limits
from prospr_engine.store.origins import KEY, origin_of
from prospr_engine.store.store import Store
from prospr_engine.store.study import Study
from prospr_engine.sweeps.config import SweepConfig

HOME, SCHOOL = "a" * 32, "b" * 32


def sweep(first: int, cells: int) -> SweepConfig:
    return SweepConfig(
        RunConfig(),
        methods=("prospr",),
        sparsities=(0.9,),
        seeds=tuple(range(first, first + cells)),
    )


def bring(store: Store, owner: str, content: bytes, origin: str):
    with store.uploads.receive(content) as part:
        return store.uploads.keep(part, owner, "images", "a.zip", ".zip", origin)


# Caps


def test_new_cookies_queue_no_more_runs_from_one_address(tmp_path: Path):
    store = Store(tmp_path)
    assert Limits().most_queued_per_address == 15
    for visitor in range(5):
        for seed in range(3):
            store.submit(RunConfig(seed=10 * visitor + seed), f"v{visitor}", origin=HOME)
    with pytest.raises(ResourceError, match=r"15 runs from your network .* Wait for one to end"):
        store.submit(RunConfig(seed=99), "v5", origin=HOME)
    # Neither others nor the command line have to wait for that.
    assert store.submit(RunConfig(seed=900), "else", origin=SCHOOL).state == "queued"
    assert store.submit(RunConfig(seed=901), "unknown").state == "queued"
    assert store.submit(RunConfig(seed=902)).state == "queued"
    # What exists already can still be opened, and a run that ends makes room.
    assert store.submit(RunConfig(seed=0), "v0", origin=HOME).state == "queued"
    store.stop(store.submit(RunConfig(seed=0), "v0", origin=HOME).id, "v0")
    assert store.submit(RunConfig(seed=903), "v99", origin=HOME).state == "queued"


def test_new_cookies_start_no_more_studies_from_one_address(tmp_path: Path):
    store = Store(tmp_path, Limits(most_studies_per_address=2))
    first = store.submit_study("sweep", sweep(0, 2), "v0", origin=HOME)
    store.submit_study("sweep", sweep(10, 2), "v1", origin=HOME)
    with pytest.raises(ResourceError, match=r"your network .* have 2 sweeps or searches"):
        store.submit_study("sweep", sweep(20, 2), "v2", origin=HOME)
    assert len(store.studies()) == 2
    assert not [run for run in store.runs(studies=True) if run.owner == "v2"]
    assert store.submit_study("sweep", sweep(30, 2), "v3", origin=SCHOOL).live
    assert store.submit_study("sweep", sweep(40, 2)).live
    # One that was stopped counts again once it goes on, from wherever that is asked.
    store.stop_study(first.id, "v0")
    store.submit_study("sweep", sweep(50, 2), "v4", origin=HOME)
    with pytest.raises(ResourceError, match="your network"):
        store.resume_study(first.id, "v0", HOME)
    store.resume_study(first.id, "v0", SCHOOL)
    with pytest.raises(ResourceError, match="your network"):
        store.submit_study("sweep", sweep(60, 2), "v5", origin=SCHOOL)


def test_studies_of_all_visitors_have_a_cap(tmp_path: Path):
    store = Store(tmp_path, Limits(most_studies=2))
    for number in range(3):
        store.submit_study("sweep", sweep(10 * number, 1))  # the command line does not count
    for number in range(2):
        store.submit_study("sweep", sweep(100 + number, 1), f"v{number}", origin=f"{number:032}")
    with pytest.raises(ResourceError, match="2 sweeps and searches of all visitors"):
        store.submit_study("sweep", sweep(200, 1), "v9", origin=HOME)
    assert store.submit_study("sweep", sweep(300, 1)).live


def test_runs_of_studies_have_a_cap_for_all_visitors(tmp_path: Path):
    store = Store(tmp_path, Limits(most_cells_queued=6))
    store.submit_study("sweep", sweep(0, 9))
    store.submit_study("sweep", sweep(10, 4), "v0", origin=HOME)
    with pytest.raises(ResourceError, match="7 runs of sweeps and searches would be waiting; the"):
        store.submit_study("sweep", sweep(20, 3), "v1", origin=SCHOOL)
    assert store.submit_study("sweep", sweep(20, 2), "v1", origin=SCHOOL).live


def test_uploads_of_one_address_are_limited_and_equal_ones_count_once(tmp_path: Path):
    store = Store(tmp_path, Limits(uploads_per_address=2, upload_megabytes_per_address=1))
    for pupil in range(30):
        bring(store, f"pupil{pupil}", b"the same images", SCHOOL)
    bring(store, "pupil0", b"others", SCHOOL)
    with pytest.raises(ResourceError, match=r"keep 2 files of .* the limits are 2 and 1\sMB"):
        bring(store, "pupil1", b"and others", SCHOOL)
    bring(store, "pupil1", b"and others", HOME)
    bring(store, "pupil1", b"more", "")
    with pytest.raises(ResourceError, match="Remove files"):
        bring(store, "someone", bytes(1_000_000), HOME)
    assert bring(store, "someone", bytes(900_000), HOME).bytes == 900_000
    assert len(list(store.uploads.folder.iterdir())) == 5


# Addresses


def test_one_address_one_name_and_the_record_does_not_reveal_it(tmp_path: Path):
    store = Store(tmp_path)
    first = origin_of(tmp_path, "203.0.113.7")
    assert first == origin_of(tmp_path, "203.0.113.7") == origin_of(tmp_path, "::ffff:203.0.113.7")
    assert first != origin_of(tmp_path, "203.0.113.8")
    store.submit(RunConfig(), "alice", origin=first)
    with sqlite3.connect(store.database) as c:
        c.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"203.0.113" not in store.database.read_bytes()
    key = tmp_path / KEY
    assert key.read_bytes() not in store.database.read_bytes()
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert origin_of(other, "203.0.113.7") != first
    assert [path.name for path in other.iterdir()] == [KEY]


def test_a_household_is_one_address_of_the_sixth_version(tmp_path: Path):
    own = origin_of(tmp_path, "2001:db8:1:2::7")
    assert own == origin_of(tmp_path, "2001:db8:1:2:ffff::1%eth0")
    assert own != origin_of(tmp_path, "2001:db8:1:3::7")


@pytest.mark.parametrize(
    "address", [None, "", "127.0.0.1", "::1", "::ffff:127.0.0.1", "unix:", "x"]
)
def test_this_machine_and_what_is_no_address_have_none(tmp_path: Path, address: str | None):
    assert origin_of(tmp_path, address) == ""


# The cost of the queue


def crowd(folder: Path, owners: int, cells: int) -> tuple[Store, Study]:
    """So many owners with a sweep each, entered without what else belongs to it."""
    store = Store(folder)
    study = store.submit_study("sweep", sweep(0, 2), "first")
    with schema.transaction(store.database) as c:
        for owner in range(owners):
            c.execute(
                "INSERT INTO studies (id, owner, kind, settings, created) "
                "VALUES (?, ?, 'sweep', '{}', 1)",
                (f"s{owner}", f"o{owner}"),
            )
            c.executemany(
                "INSERT INTO runs (id, owner, settings, created, study, cell) "
                "VALUES (?, ?, '{}', 1, ?, ?)",
                [(uuid.uuid4().hex, f"o{owner}", f"s{owner}", cell) for cell in range(cells)],
            )
    return store, study


def instructions(store: Store, action: Callable[[sqlite3.Connection], object]) -> int:
    """How many instructions of its virtual machine SQLite takes, to the next hundred."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 100

    with schema.connect(store.database) as c:
        c.set_progress_handler(step, 100)
        action(c)
    return count


def test_places_of_a_long_queue_cost_little(tmp_path: Path):
    store, study = crowd(tmp_path, 12, 400)
    # About 80 for each waiting run when all of them were sorted; 8 to count them.
    assert instructions(store, lambda c: line.places(c, {study.id})) < 12 * 4_800
    assert instructions(store, line.first) < 12 * 4_800
    assert instructions(store, lambda c: line.places(c, {None})) < 1_000
    store.submit(RunConfig(seed=99), "someone")
    assert instructions(store, line.first) < 1_000


@pytest.mark.parametrize(("owners", "cells"), [(3, 5), (7, 2), (2, 9)])
def test_all_places_are_those_in_which_runs_are_taken(tmp_path: Path, owners: int, cells: int):
    store, study = crowd(tmp_path, owners, cells)
    ids = {study.id, None, *(f"s{owner}" for owner in range(owners))}
    with schema.connect(store.database) as c:
        places = line.places(c, ids)
    assert sorted(places.values()) == list(range(owners * cells + 2))
    claimed = []
    while (run := store.claim("w")) is not None:
        claimed.append(run.id)
    assert claimed == sorted(places, key=lambda id: places[id])
