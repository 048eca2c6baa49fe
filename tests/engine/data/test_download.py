from __future__ import annotations

import errno
import hashlib
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from prospr_engine.data import download as module
from prospr_engine.data.download import Remote, fetch, intact
from prospr_engine.errors import DataError, ResourceError, Stopped

CONTENT = bytes(range(256)) * 4096  # 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """``/whole`` can resume, ``/plain`` cannot, ``/short`` breaks off, ``/wrong`` is damaged."""

    requests: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.requests.append((self.path, wanted))
        if self.path in {"/missing", "/busy"}:
            self.send_error(404 if self.path == "/missing" else 503)
            return
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        resume = self.path != "/plain" and start > 0
        if resume and start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:] if resume else CONTENT
        body = bytes(len(body)) if self.path == "/wrong" else body
        self.send_response(206 if resume else 200)
        if resume:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        if self.path != "/unknown-length":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path == "/short" else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def remote(server, tmp_path: Path):
    def make(*paths: str) -> Remote:
        address = f"http://127.0.0.1:{server.server_port}"
        return Remote(tmp_path / "folder" / "file.gz", tuple(address + path for path in paths), MD5)

    return make


def get(remote: Remote) -> list[int]:
    output: list[int] = []
    fetch(remote, output.append)
    assert remote.path.read_bytes() == CONTENT
    assert [path.name for path in remote.path.parent.iterdir()] == ["file.gz"]
    return output


@pytest.mark.parametrize("path", ["/whole", "/plain", "/unknown-length"])
def test_a_file_arrives_with_progress(remote, path: str) -> None:
    output = get(remote(path))
    assert output == sorted(output)
    assert output[-1] == len(CONTENT)
    assert len(output) > 2


def test_what_is_there_is_not_fetched_again(remote) -> None:
    get(remote("/whole"))
    get(remote("/whole"))
    assert len(Handler.requests) == 1


def test_a_damaged_file_is_replaced(remote) -> None:
    wanted = remote("/whole")
    wanted.path.parent.mkdir()
    wanted.path.write_bytes(b"damaged")
    get(wanted)


@pytest.mark.parametrize("path", ["/whole", "/plain"])
def test_a_stopped_download_leaves_nothing_that_looks_whole_and_resumes(remote, path) -> None:
    wanted = remote(path)

    def stop(here: int) -> None:
        if here > 500_000:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        fetch(wanted, stop)
    assert not wanted.path.exists()
    left = wanted.path.with_name("file.gz.part").stat().st_size
    assert left > 500_000
    output = get(wanted)
    assert Handler.requests[1:] == [(path, f"bytes={left}-")]
    assert (output[0] > left) == (path == "/whole")


def test_a_connection_that_breaks_off_is_resumed_at_the_next_address(remote) -> None:
    get(remote("/short", "/whole"))
    assert Handler.requests[1] == ("/whole", f"bytes={len(CONTENT) // 2}-")


@pytest.mark.parametrize("length", [1000, len(CONTENT), len(CONTENT) + 5])
def test_a_damaged_beginning_is_thrown_away(remote, length: int) -> None:
    wanted = remote("/whole")
    wanted.path.parent.mkdir()
    wanted.path.with_name("file.gz.part").write_bytes(b"?" * length)
    get(wanted)


def test_the_next_mirror_is_tried(remote) -> None:
    get(remote("/missing", "/wrong", "/whole"))
    assert [path for path, _ in Handler.requests] == ["/missing", "/wrong", "/whole"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing", "HTTP 404 Not Found"),
        ("/busy", "HTTP 503"),
        ("/wrong", "wrong checksum"),
        ("/short", "the connection was lost"),
    ],
)
def test_failure_says_what_why_and_what_to_do(remote, path: str, reason: str) -> None:
    wanted = remote(path)
    with pytest.raises(DataError) as caught:
        get(wanted)
    for piece in ("file.gz could not be downloaded", reason, str(wanted.path.parent), "'digits'"):
        assert piece in str(caught.value)
    assert not wanted.path.exists()


def test_no_network(tmp_path: Path) -> None:
    urls = ("http://127.0.0.1:9/file", "http://no-such-host.invalid/file")
    with pytest.raises(DataError, match=r"127\.0\.0\.1:9: .*; no-such-host\.invalid: "):
        fetch(Remote(tmp_path / "file.gz", urls, MD5), lambda here: None)


def test_no_answer_in_time(monkeypatch, remote) -> None:
    def slow(*_, timeout: float):
        assert timeout == module.TIMEOUT
        raise TimeoutError("timed out")

    monkeypatch.setattr(module.urllib.request, "urlopen", slow)
    with pytest.raises(DataError, match="timed out"):
        get(remote("/whole"))


def test_a_disk_without_space_is_noticed_before(monkeypatch, remote) -> None:
    monkeypatch.setattr(module, "SPARE", shutil.disk_usage("/").total * 100)
    with pytest.raises(ResourceError, match=r"The disk is full: file\.gz needs 1\sMB"):
        get(remote("/whole"))


def test_a_disk_that_fills_up(monkeypatch, remote) -> None:
    wanted = remote("/whole")
    opened = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, chunk):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, mode="r": Full(opened(self, mode)))
    with pytest.raises(ResourceError, match="The disk is full"):
        fetch(wanted, lambda here: None)


def test_a_folder_that_cannot_be_written(remote, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file where the folder should be")
    with pytest.raises(ResourceError, match="Set PROSPR_DATA"):
        fetch(remote("/whole"), lambda here: None)


def test_intact(tmp_path: Path) -> None:
    path = tmp_path / "x"
    assert not intact(path, MD5)
    path.write_bytes(CONTENT)
    assert intact(path, MD5)
    assert not intact(path, MD5[::-1])
