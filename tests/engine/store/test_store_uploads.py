"""Files that visitors brought: whose they are and how long they stay."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from prospr_engine.config import RunConfig
from prospr_engine.errors import ResourceError, StoreError
from prospr_engine.store import schema
from prospr_engine.store.limits import Limits
from prospr_engine.store.records import Upload
from prospr_engine.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store", Limits(uploads_per_visitor=2, keep_days=1))


def bring(
    store: Store, owner: str = "alice", content: bytes = b"zip", name: str = "a.zip"
) -> Upload:
    return store.uploads.add(owner, "images", name, content, ".zip")


def kept(store: Store) -> int:
    return len(list(store.uploads.folder.iterdir()))


def age(store: Store) -> None:
    with schema.connect(store.database) as c:
        c.execute("UPDATE uploads SET created = ?", (time.time() - 2 * 86400,))


def test_an_upload_is_its_owner_s_alone(store: Store):
    mine = bring(store)
    assert mine.path.read_bytes() == b"zip"
    assert store.uploads.find("alice", mine.token) == mine
    assert store.uploads.of("alice", "images") == [mine]
    assert store.uploads.find("bob", mine.token) is None
    assert store.uploads.of("bob", "images") == []
    assert store.uploads.of("alice", "weights") == []


def test_the_same_content_is_one_file_until_the_last_owner_lets_go(store: Store):
    mine, theirs = bring(store), bring(store, "bob")
    assert mine.path == theirs.path
    assert kept(store) == 1
    store.uploads.remove("alice", mine.token)
    assert store.uploads.find("alice", mine.token) is None
    assert store.uploads.find("bob", theirs.token) == theirs
    store.uploads.remove("bob", theirs.token)
    assert kept(store) == 0


def test_nobody_keeps_too_many(store: Store):
    first = bring(store, content=b"1")
    bring(store, content=b"2")
    with pytest.raises(ResourceError, match="2 files here already"):
        bring(store, content=b"3")
    assert bring(store, content=b"1") == store.uploads.find("alice", first.token)
    assert kept(store) == 2


def test_what_a_run_waits_for_stays(store: Store):
    # A name that JSON writes in another way than people do.
    mine = bring(store, name="blüten.zip")
    run = store.submit(RunConfig(data=mine.token), "alice")
    with pytest.raises(StoreError, match="needs this file"):
        store.uploads.remove("alice", mine.token)
    age(store)
    store.sweep()
    assert store.uploads.find("alice", mine.token) is not None
    store.stop(run.id, "alice")
    age(store)
    store.sweep()
    assert store.uploads.find("alice", mine.token) is None


def test_a_file_that_is_gone_is_not_offered(store: Store):
    mine = bring(store)
    mine.path.unlink()
    assert store.uploads.find("alice", mine.token) is None
    assert store.uploads.of("alice", "images") == []
    assert bring(store).path.read_bytes() == b"zip"


def test_a_file_that_is_used_stays(store: Store):
    mine = bring(store)
    age(store)
    run = store.submit(RunConfig(data=mine.token), "alice")
    store.stop(run.id, "alice")
    store.sweep()
    assert store.uploads.find("alice", mine.token) is not None


def test_a_refused_file_leaves_nothing_behind(store: Store):
    for content in (b"1", b"2"):
        bring(store, content=content)
    with pytest.raises(ResourceError):
        bring(store, content=b"3")
    assert kept(store) == 2
