"""Files that visitors brought: whose they are and how long they stay."""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    with store.uploads.receive(content) as part:
        return store.uploads.keep(part, owner, "images", name, ".zip")


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


def test_the_number_of_uploads_per_owner_is_limited(store: Store):
    first = bring(store, content=b"1")
    bring(store, content=b"2")
    with pytest.raises(ResourceError, match="already have 2 files"):
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


def test_an_upload_is_written_and_hashed_once(store: Store, monkeypatch: pytest.MonkeyPatch):
    content = bytes(range(256)) * 5 * 4096  # 5 MiB
    hashed, written = [], []
    sha256, opened = hashlib.sha256, Path.open

    class Counting:
        def __init__(self) -> None:
            self.hash = sha256()

        def update(self, chunk: bytes) -> None:
            hashed.append(len(chunk))
            self.hash.update(chunk)

        def hexdigest(self) -> str:
            return self.hash.hexdigest()

    def open_(self: Path, mode: str = "r", *rest: Any) -> Any:
        file = opened(self, mode, *rest)
        if "r" not in mode:
            write = file.write
            file = SimpleFile(file, lambda chunk: written.append(len(chunk)) or write(chunk))
        return file

    monkeypatch.setattr(hashlib, "sha256", Counting)
    monkeypatch.setattr(Path, "open", open_)
    found = bring(store, content=content)
    assert sum(hashed) == sum(written) == len(content)
    assert max(written) < len(content)  # a part at a time
    assert found.path.read_bytes() == content
    assert found.digest == found.path.stem == sha256(content).hexdigest()
    assert kept(store) == 1


@pytest.mark.parametrize("reason", [ResourceError("refused"), KeyboardInterrupt(), SystemExit()])
def test_a_refused_or_interrupted_upload_leaves_nothing(store: Store, reason: BaseException):
    def refuse() -> None:
        with store.uploads.receive(b"bad") as part:
            assert part.path.read_bytes() == b"bad"
            raise reason

    with pytest.raises(type(reason)):
        refuse()
    assert kept(store) == 0
    assert store.uploads.of("alice", "images") == []


def test_an_upload_that_breaks_off_while_it_is_written_leaves_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    opened = Path.open

    def full(chunk: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, *mode: SimpleFile(opened(self, *mode), full))
    with pytest.raises(ResourceError, match="full"):
        bring(store)
    assert kept(store) == 0


class SimpleFile:
    """A file with another ``write``."""

    def __init__(self, file: Any, write: Callable[[bytes], Any]):
        self.file, self.write = file, write

    def __enter__(self) -> SimpleFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
