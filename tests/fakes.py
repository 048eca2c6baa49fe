"""What a run says that nobody computed."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import sys
import types
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from prospr_engine.config import RunConfig
from prospr_engine.errors import CrashError

RESULT: dict[str, Any] = {
    "accuracy": {"dense": 0.9, "pruned": 0.8},
    "loss": {"dense": 0.1, "pruned": 0.2},
    "sparsity": {"requested": 0.9, "achieved": 0.9, "effective": 0.91},
    "layers": [],
    "findings": [],
    "onnx": {"bytes": 5, "path": "model.onnx", "zeros": 3, "ok": True, "checks": []},
    "data": {
        "name": "digits",
        "shape": [1, 8, 8],
        "classes": ["a", "b"],
        "digest": "d" * 64,
        "split": {"seed": 0, "train": 7, "validation": 1, "test": 2},
        "mean": [0.5],
        "std": [0.5],
    },
    "fingerprint": RunConfig().fingerprint,
    "history": [],
    "config": {"epochs": 3},
    "trust": {"trusted": True, "verdict": "The ranking can be trusted."},
    "environment": {"device": "cpu", "device_name": "x86", "threads": 1},
    "seconds": 4.5,
    "out": ".",
}
"""The least that the store and its readers need of ``result.json``."""


def in_this_process(target, arguments, what, memory, seconds, written=0):
    """What ``guard.sandbox.call`` returns, without a process and without limits."""
    module, _, name = target.partition(":")
    found = getattr(importlib.import_module(module), name)(**arguments)
    return json.loads(json.dumps(found))


class SpareProcess:
    """``call`` returns the same from one other process for all calls, without its start for each.
    Only after a crash there is a new one."""

    def __init__(self):
        self._pool = None

    def call(self, *given, **others):
        if not self._pool:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        # A new process runs the main module again: here perhaps a page that was tested before.
        main, sys.modules["__main__"] = sys.modules["__main__"], types.ModuleType("__main__")
        try:
            answer = self._pool.submit(in_this_process, *given, **others)
        finally:
            sys.modules["__main__"] = main
        try:
            return answer.result()
        except BrokenProcessPool:
            self.close()
            raise CrashError("It crashed.") from None

    def close(self):
        if self._pool:
            self._pool.shutdown()
        self._pool = None
