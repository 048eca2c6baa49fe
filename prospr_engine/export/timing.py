"""The process that times files: ``python -m prospr_engine.export.timing``.

It reads a request as JSON from standard input: ``files`` by name, the ``shape`` of one input,
``batches`` and ``threads``. It answers with the ``seconds`` of every turn, by batch and file, and a
``reason`` where some are missing.

On one thread it counts the processor's time, where the system measures that finely enough: what
other processes take away meanwhile is nothing that a file is to blame for.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from prospr_engine.export import runtime

SECONDS = 1.0  # for the turns of one batch size
TURNS = (5, 100)  # at least, and at most
MOST = 20.0  # seconds; a batch size that takes longer in the fewest turns is left out
SAVING = 2  # a batch costs no less per image than this fraction of what a smaller one costs
FINE = 1e-5  # seconds
RUNS = 2
"""Of a file in each turn, the last of which counts: a network that is in use has its weights in the
processor's caches, which the file before has emptied."""


def clock(threads: int) -> Callable[[], float]:
    """What measures the time of a call with that many threads."""
    fine = time.get_clock_info("thread_time").resolution <= FINE
    return time.thread_time if threads == 1 and fine else time.perf_counter


def main() -> None:
    """Answer one request."""
    request = json.load(sys.stdin)
    json.dump(answer(request), sys.stdout)


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """The seconds of every turn."""
    sessions = {
        name: runtime.session(Path(path), request["threads"])
        for name, path in request["files"].items()
    }
    seconds, left_out, now = {}, [], clock(request["threads"])
    least = 0.0  # seconds per image and turn, so that a batch that takes minutes is not begun
    for batch in request["batches"]:
        if least * batch * TURNS[0] > MOST:
            left_out.append(batch)
            continue
        shape = (batch, *request["shape"])
        inputs = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        _turn(sessions, inputs, now, 0)  # the first one sets up memory
        expected = RUNS * sum(_turn(sessions, inputs, now, 0).values())
        least = expected / batch / SAVING
        if expected * TURNS[0] > MOST:
            left_out.append(batch)
            continue
        turns = min(TURNS[1], max(TURNS[0], int(SECONDS / expected)))
        times = [_turn(sessions, inputs, now, number) for number in range(turns)]
        seconds[batch] = {name: [each[name] for each in times] for name in sessions}
    reason = f"Batches of {', '.join(map(str, left_out))} take too long to be timed."
    return {"seconds": seconds, "reason": reason if left_out else ""}


def _turn(
    sessions: Mapping[str, Any], inputs: np.ndarray, now: Callable[[], float], number: int
) -> dict[str, float]:
    """Seconds of each file; another one begins in every turn."""
    names = list(sessions)
    first = number % len(names)
    taken = {}
    for name in names[first:] + names[:first]:
        session = sessions[name]
        feed = {session.get_inputs()[0].name: inputs}
        for _ in range(RUNS):
            started = now()
            session.run(None, feed)
            taken[name] = now() - started
    return taken


if __name__ == "__main__":
    main()
