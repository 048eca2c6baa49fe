"""The dashboard under load: how long its visitors wait.

    python -m benchmarks.dashboard

- 20 visitors watch one run while it trains: the time of one run of the page. The median should be
  under 300 ms on two cores.
- The first page: whether the server has loaded torch for it. It should not.
- The mask of a layer of 512 x 512 x 3 x 3 weights, and another sparsity for a network of 11
  million weights, in Chromium: seconds from the click until it is drawn. At most 1 s and 0.5 s.

Times depend on this machine and its load.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import exploring
from benchmarks.visitors import Visit, crowd
from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig
from prospr_engine.jobs.spawn import COMMAND
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

ROOT = Path(__file__).parents[1]
LONG = RunConfig(model="resnet20", epochs=2000, scoring=ScoringConfig(options={"steps": 1}))
LARGE = RunConfig(
    model="torchvision/resnet18",
    method="magnitude",
    epochs=0,
    loading=LoadingConfig(train_limit=100, test_limit=50, image_size=32),
)
SECONDS = 20.0


def main() -> None:
    """Start a server and use it as visitors do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--skip-browser", action="store_true", help="where there is no Chromium")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as server:
        _first_page(server)
        store = Store(folder)
        with _worker(store):
            run = store.submit(LONG)
            _wait(store, run, "EpochEnded")
            _watching(server, run, given.visitors)
            store.stop(run.id, "")
            if not given.skip_browser:
                large = store.submit(LARGE)
                _wait(store, large, "Finished")
                exploring.measure(server.port, large.id)


@dataclass(frozen=True)
class Server:
    """A dashboard started for this benchmark."""

    port: int
    process: subprocess.Popen[bytes]

    def memory_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def has_torch(self) -> bool:
        return "libtorch" in Path(f"/proc/{self.process.pid}/maps").read_text()


def _first_page(server: Server) -> None:
    visits = asyncio.run(crowd(1, server.port, "", "", 0))
    visits = asyncio.run(crowd(5, server.port, "", "", 0))
    print(
        f"first page: median of {_median([v.first for v in visits])} ms for 5 visitors at "
        f"once, torch loaded: {'yes' if server.has_torch() else 'no'}, "
        f"server {server.memory_mb():.0f} MB"
    )
    _complain(visits)


def _watching(server: Server, run: Run, visitors: int) -> None:
    asyncio.run(crowd(1, server.port, "run", f"id={run.id}", 3))  # the first one warms the caches
    visits = asyncio.run(crowd(visitors, server.port, "run", f"id={run.id}", SECONDS))
    looks = sorted(look for visit in visits for look in visit.looks)
    print(
        f"{visitors} visitors watch a training run: page {_median([v.first for v in visits])} "
        f"ms, then a median of {_median(looks)} ms and a 95th percentile of "
        f"{1e3 * looks[int(0.95 * len(looks))]:.0f} ms over {len(looks)} updates; server "
        f"{server.memory_mb():.0f} MB, torch loaded: {'yes' if server.has_torch() else 'no'}"
    )
    _complain(visits)


def _complain(visits: list[Visit]) -> None:
    for error in {error for visit in visits for error in visit.errors}:
        print(f"  a visitor saw an error: {error}")


def _median(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.0f}"


def _wait(store: Store, run: Run, event: str) -> None:
    for _ in range(1200):
        found = store.get(run.id)
        assert found is not None
        if found.state == "failed":
            raise SystemExit(f"the run failed: {found.error}")
        events = {stored["event"] for stored in store.events(run.id)}
        if event in events and (event != "Finished" or found.state == "done"):
            return
        time.sleep(0.25)
    raise SystemExit("the run took too long")


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app/streamlit_app.py"]
    process = subprocess.Popen(
        [*command, "--server.port", str(port)],
        cwd=ROOT,
        env={**os.environ, "PROSPR_RUNS": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1)
                break
            time.sleep(0.1)
        yield Server(port, process)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def _worker(store: Store) -> Iterator[None]:
    """A worker that stops with the benchmark; one started by pages would keep running."""
    process = subprocess.Popen([*COMMAND, str(store.folder)], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
