"""A clock that is wrong for a while deletes nothing."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prospr_engine.config import RunConfig
from prospr_engine.store import clock, schema
from prospr_engine.store.limits import Limits
from prospr_engine.store.store import Store

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
KEEP = 30.0


class World:
    """A machine: what time it truly is, and what its clock says."""

    def __init__(self) -> None:
        self.true, self.off, self.up = time.time(), 0.0, 1000.0

    def passes(self, seconds: float) -> None:
        self.true += seconds
        self.up += seconds

    def now(self) -> float:
        return self.true + self.off

    def uptime(self) -> float:
        return self.up

    @contextlib.contextmanager
    def around(self) -> Iterator[World]:
        with (
            mock.patch.object(time, "time", self.now),
            mock.patch.object(clock, "uptime", self.uptime),
        ):
            yield self


def ended_run(store: Store, number: int) -> str:
    id = store.submit(RunConfig(seed=number)).id
    store.stop(id, "")
    return id


def ids(store: Store) -> set[str]:
    return {run.id for run in store.runs()}


@pytest.mark.parametrize("days", [40, -40, 4000, -4000])
def test_one_clean_up_by_a_wrong_clock(tmp_path: Path, days: float):
    with World().around() as world:
        store = Store(tmp_path, Limits(keep_days=KEEP))
        with store.uploads.receive(b"zip") as part:
            upload = store.uploads.keep(part, "alice", "images", "a.zip", ".zip")
        before = ended_run(store, 1)
        world.passes(MINUTE)
        store.sweep()
        world.off = days * DAY
        store.sweep()
        meanwhile = ended_run(store, 2)
        world.passes(MINUTE)
        store.sweep()
        world.off = 0.0
        world.passes(MINUTE)
        store.sweep()
        assert ids(store) == {before, meanwhile}
        assert store.uploads.find("alice", upload.token)
        world.passes(KEEP * DAY + HOUR)
        store.sweep()
        assert not ids(store)
        assert store.uploads.find("alice", upload.token) is None


def test_a_long_pause_is_no_jump_if_the_machine_was_up(tmp_path: Path):
    with World().around() as world:
        store = Store(tmp_path, Limits(keep_days=KEEP))
        ended_run(store, 1)
        store.sweep()
        world.passes(400 * DAY)
        store.sweep()
        assert not ids(store)


def test_after_a_long_pause_and_a_restart_an_hour_decides(tmp_path: Path, caplog):
    with World().around() as world:
        store = Store(tmp_path, Limits(keep_days=KEEP))
        run = ended_run(store, 1)
        store.sweep()
        world.passes(400 * DAY)
        world.up = 10.0
        for _ in range(60):
            store.sweep()
            assert ids(store) == {run}
            world.passes(MINUTE)
        store.sweep()
        assert not ids(store)
        assert caplog.text.count("has jumped") == 1


def test_limits_on_number_and_size_hold_all_the_same(tmp_path: Path):
    with World().around() as world:
        store = Store(tmp_path, Limits(keep_days=KEEP, keep_runs=1))
        ended_run(store, 1)
        world.passes(MINUTE)
        newest = ended_run(store, 2)
        world.off = 1000 * DAY
        store.sweep()
        assert ids(store) == {newest}


@pytest.mark.parametrize("days", [0, 100])
def test_an_earlier_record_starts_with_its_newest_time(tmp_path: Path, days: int):
    newest = time.time() - days * DAY - MINUTE
    record = tmp_path / "runs.sqlite3"
    first = len(schema.MIGRATIONS) - 1
    with mock.patch.multiple(schema, MIGRATIONS=schema.MIGRATIONS[:first], VERSION=first):
        schema.migrate(record, create=True)
    with schema.connect(record) as c:
        c.execute(
            "INSERT INTO runs (id, owner, settings, created, ended, state) "
            "VALUES ('a', '', '{}', ?, ?, 'stopped')",
            (newest, newest),
        )
    store = Store(tmp_path, Limits(keep_days=KEEP))
    with schema.connect(record) as c:
        assert c.execute("SELECT time FROM clock").fetchone()[0] == pytest.approx(newest)
    store.sweep()
    assert ids(store) == {"a"}


EVENTS = st.lists(
    st.tuples(
        st.floats(MINUTE, 6 * DAY),
        # A while in which the clock is wrong, each time in another way.
        st.lists(st.floats(-400 * DAY, 400 * DAY), max_size=4),
        st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=100)
@given(EVENTS)
def test_nothing_younger_than_the_limit_is_ever_deleted(events):
    with tempfile.TemporaryDirectory() as folder, World().around() as world:
        store = Store(folder, Limits(keep_days=KEEP))
        ended: dict[str, float] = {}

        def end() -> None:
            id = ended_run(store, len(ended))
            ended[id] = world.true

        def sweep() -> None:
            store.sweep()
            young = {
                id for id, when in ended.items() if world.true - when < KEEP * DAY - clock.JUMP
            }
            assert young <= ids(store)

        for pause, wrong, restarted in events:
            end()
            world.passes(pause)
            if restarted:
                world.up = 10.0
            for off in wrong:
                world.off = off
                sweep()
                end()
                world.passes(10 * MINUTE)
                sweep()
            world.off = 0.0
            sweep()
        # In the end, what is too old goes.
        world.passes(2 * KEEP * DAY)
        for _ in range(3):
            sweep()
            world.passes(HOUR)
        # Also what ended while the clock was in doubt.
        world.passes(2 * KEEP * DAY)
        sweep()
        assert not ids(store)
        store.database.unlink()
