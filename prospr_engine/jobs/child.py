"""The process that computes runs, one after another: ``python -m prospr_engine.jobs.child``.

Standard input receives an order as a line of JSON (``config``, ``out``, ``shared``), and perhaps a
line that requests a stop. Standard output gets a line of JSON per event, and a last one on how the
run ended: ``{"end": "done" | "stopped" | "failed", "error": sentence, "stays": bool}``. If it
``stays``, it takes another order, with everything imported and loaded already. It exits when
standard input closes, because its parent has ended then.

A process, not a thread: seeds are process-wide, and a process can be killed and releases its
memory.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import json
import os
import queue
import signal
import sys
import threading
import traceback
from pathlib import Path
from typing import IO, Any

from prospr_engine.sweeps.executor import UNEXPECTED

MOST_RUNS = 50
MOST_GROWTH = 2e9
"""A process exits after so many runs, or when it uses so many bytes more than after the first, so
that leaks cannot grow."""

Order = tuple[dict[str, Any], threading.Event]


def main() -> None:
    """Compute the run of one order after another, and report how each ended."""
    # What libraries print must not mix with the events.
    channel = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Ctrl-C and a shutdown are for the worker; it closes our standard input when it goes.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # blocked until now, see ``local``
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
    # Unbuffered: a buffered reader that a thread waits in cannot be shut down at the end.
    lines = open(0, "rb", buffering=0, closefd=False)  # noqa: SIM115
    orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
    ready = threading.Event()
    threading.Thread(target=_listen, args=(lines, orders, ready), daemon=True).start()
    _step_back()

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    before = 0
    for count in range(1, MOST_RUNS + 1):
        order, stop = orders.get()
        end = _work(order, send, stop, ready)
        gc.collect()
        if count == 1:
            gc.freeze()  # what the imports left need not be looked through after every run
            before = _memory()
        sound = end.get("error") != UNEXPECTED and _memory() - before <= MOST_GROWTH
        stays = sound and count < MOST_RUNS
        send({**end, "stays": stays})
        if not stays:
            break


def _work(
    order: dict[str, Any], send: Any, stop: threading.Event, ready: threading.Event
) -> dict[str, Any]:
    from prospr_engine.config import RunConfig
    from prospr_engine.errors import EngineError, Stopped

    try:
        # Imported here: it imports torch, and a failure of that has to be reported too.
        from prospr_engine.pipeline.run import run

        ready.set()
        run(
            RunConfig.from_dict(order["config"]),
            lambda event: send(event.to_dict()),
            stop.is_set,
            Path(order["out"]),
            shared=_shared(shared) if (shared := order.get("shared")) else None,
        )
    except Stopped:
        return {"end": "stopped"}
    except EngineError as error:
        return {"end": "failed", "error": str(error)}
    except Exception:  # noqa: BLE001  (whatever it is, the visitor gets a sentence)
        traceback.print_exc()
        return {"end": "failed", "error": UNEXPECTED}
    return {"end": "done"}


@functools.cache
def _shared(folder: str) -> Any:
    """One for all runs of this process: it keeps images in memory."""
    from prospr_engine.pipeline.cache import Shared

    return Shared(folder)


def _listen(lines: IO[bytes], orders: queue.SimpleQueue[Order], ready: threading.Event) -> None:
    stop = threading.Event()
    while line := lines.readline():
        if line.startswith(b"{"):
            stop = threading.Event()  # a late request must not stop the next run
            orders.put((json.loads(line), stop))
            continue
        stop.set()
        if not ready.is_set():
            break  # importing torch takes seconds in which nobody checks; no run has begun yet
    os._exit(1)


def _memory() -> int:
    """Bytes of memory that this process uses; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _step_back() -> None:
    """Let other processes go first: on the processor, in memory, and with a core of their own."""
    with contextlib.suppress(OSError):
        os.nice(5)
    # If memory runs out, Linux should kill this process rather than another.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    # Read by torch's thread pools when they start.
    os.environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 2) - 1))


if __name__ == "__main__":
    main()
