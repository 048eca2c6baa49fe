"""Work on files from strangers in a process of its own, with limits on memory and time.

What a file does to the process that opens it, it does to that one only: it ends when it takes more
memory or time than allowed, and it may write no large files but those that the caller asks for.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import prospr_engine
from prospr_engine import errors
from prospr_engine.errors import CrashError, EngineError, ResourceError
from prospr_engine.format import counted, megabytes

START = 120.0
"""Seconds to start Python and import what the work needs, on a machine with much else to do."""
FILE_BYTES = 1_000_000
"""Of a file that it may write: libraries try out folders for temporary ones."""
SLOWNESS = 4
"""How many times longer than its processor time the work may take."""
MAIN = "import sys; sys.path.insert(0, {!r}); from prospr_engine.guard.sandbox import main; main()"
HERE = str(Path(prospr_engine.__file__).parents[1])
NO_MEMORY = ("not enough memory", "can't allocate memory", "bad_alloc", "out of memory")
"""Parts of the messages of libraries that have no type of their own for it."""
SINGLE = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MALLOC_ARENA_MAX": "2"}
"""One thread, so that the memory for threads does not count; and no GPU."""
_inside = False
"""Whether this process is such a one already, whose limits hold for all that it does."""


def call(
    target: str,
    arguments: Mapping[str, Any],
    what: str,
    memory: int,
    seconds: int,
    written: int = 0,
) -> Any:
    """What the function ``target`` ("package.module:name") returns for ``arguments``, both
    JSON-ready, computed in another process with at most ``memory`` bytes and ``seconds`` of
    processor time, besides what it takes to import that module. Files that it writes may have
    ``written`` bytes each.

    Raises the ``EngineError`` that the function raises, ``ResourceError`` if the limits do not
    suffice, and ``CrashError`` if the process crashes; ``what`` ("model.onnx") begins the sentence.
    In a process that has such limits already, the function is called there.
    """
    if _inside:
        return _function(target)(**arguments)
    order = {
        "target": target,
        "arguments": dict(arguments),
        "memory": memory,
        "seconds": seconds,
        "written": written,
    }
    command = (sys.executable, "-c", MAIN.format(HERE))
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **SINGLE},
    )
    try:
        out, noise = process.communicate(json.dumps(order).encode(), START + SLOWNESS * seconds)
    except subprocess.TimeoutExpired:
        raise _too_long(what, seconds) from None
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]
    return _answer(out, noise, process.returncode, what, memory, seconds)


def main() -> None:
    """Answer the order on standard input by a line of JSON on standard output."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not mix with the answer
    order = json.load(sys.stdin)
    function = _function(order["target"])
    global _inside
    _inside = True
    _limit(order["memory"], order["seconds"], order["written"])
    try:
        answer = {"result": function(**order["arguments"])}
    except EngineError as error:
        answer = {"error": type(error).__name__, "text": str(error), "code": error.code}
    except MemoryError:
        answer = {"error": "memory"}
    except Exception as error:  # noqa: BLE001 - a fault of ours, or a library's lack of memory
        short = any(part in str(error).lower() for part in NO_MEMORY)
        if not short:
            traceback.print_exc()
        answer = {"error": "memory"} if short else {"error": "fault"}
    channel.write(json.dumps(answer))
    channel.flush()
    os._exit(0)  # nothing is left to tidy up, and tidying up may take memory


def _function(target: str) -> Callable[..., Any]:
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function


def _limit(memory: int, seconds: int, written: int) -> None:
    """Bound this process from now on, as far as the system can."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    bounds = {
        resource.RLIMIT_CPU: int(used.ru_utime + used.ru_stime) + seconds + 1,
        resource.RLIMIT_FSIZE: max(written, FILE_BYTES),
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        bounds[resource.RLIMIT_AS] = pages * resource.getpagesize() + memory
    for kind, value in bounds.items():
        _, hard = resource.getrlimit(kind)
        most = value + 1 if hard == resource.RLIM_INFINITY else min(value + 1, hard)
        with contextlib.suppress(OSError, ValueError):
            # One above the other: the upper one kills without saying which limit it was.
            resource.setrlimit(kind, (min(value, most), most))


def _answer(out: bytes, noise: bytes, returned: int, what: str, memory: int, seconds: int) -> Any:
    try:
        answer = json.loads(out)
    except ValueError:
        answer = {}
    if "result" in answer:
        return answer["result"]
    kind = answer.get("error", "")
    if kind == "memory":
        raise _too_large(what, memory)
    if kind == "fault":
        raise RuntimeError(f"{what}: {noise.decode(errors='replace')[-4000:]}")
    if kind:
        raise getattr(errors, kind)(answer["text"], code=answer["code"])
    if -returned == getattr(signal, "SIGXCPU", None):
        raise _too_long(what, seconds)
    # Libraries in C++ often end without an answer where memory is missing, and so does the system.
    text = noise.decode(errors="replace").lower()
    short = any(part in text for part in (*NO_MEMORY, "memoryerror"))
    if short or -returned == getattr(signal, "SIGKILL", None):
        raise _too_large(what, memory)
    raise CrashError(
        f"{what} could not be opened: the separate process that read it crashed, as happens with "
        "damaged files and where memory is missing. Write the file again, or try a smaller one."
    )


def _too_large(what: str, memory: int) -> ResourceError:
    return ResourceError(
        f"{what} needs more than {megabytes(memory)} of memory to be opened. Give a smaller one."
    )


def _too_long(what: str, seconds: int) -> ResourceError:
    return ResourceError(
        f"{what} takes more than {counted(seconds, 'second')} to be opened. Give a smaller one."
    )
