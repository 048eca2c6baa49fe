"""Runs that tell what the test wants told."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from paths import ROOT
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
from waiting import PATIENCE

from app import pages
from prospr_engine.config import RunConfig
from prospr_engine.events import EpochEnded
from prospr_engine.pipeline.pruning_record import LayerRecord
from prospr_engine.pipeline.record import RunRecord
from prospr_engine.store.records import Run
from prospr_engine.store.store import Store

LAYERS = [
    {
        "name": "0.0.weight",
        "total": 144,
        "kept": 113,
        "effective": 113,
        "channels": 16,
        "dead_channels": 0,
    },
    {
        "name": "1.0.weight",
        "total": 4608,
        "kept": 1489,
        "effective": 1489,
        "channels": 32,
        "dead_channels": 0,
    },
    {
        "name": "6.weight",
        "total": 640,
        "kept": 0,
        "effective": 0,
        "channels": 10,
        "dead_channels": 10,
    },
]
HISTORY = [
    {
        "network": network,
        "epoch": epoch,
        "epochs": 3,
        "train_loss": 1 / epoch,
        "train_accuracy": 0.91 + epoch / 100,
        "validation_loss": 1.1 / epoch,
        "validation_accuracy": 0.9 + epoch / 100,
        "seconds": 1.0,
    }
    for epoch in (1, 2, 3)
    for network in ("dense", "pruned")
]
RESULT: dict[str, Any] = {
    "accuracy": {"dense": 0.972, "pruned": 0.961},
    "sparsity": {"requested": 0.9, "achieved": 0.89999, "effective": 0.91},
    "layers": LAYERS,
    "findings": [
        {"level": "fine", "text": "The ranking can be trusted.", "layer": None},
        {
            "level": "warning",
            "text": "Layer 6.weight lost all of its 640 weights.",
            "layer": "6.weight",
        },
    ],
    "trust": {"trusted": True, "verdict": "The ranking can be trusted."},
    "config": RunConfig().to_dict(),
    "history": HISTORY,
    "data": {
        "name": "digits",
        "classes": list("0123456789"),
        "shape": [1, 8, 8],
        "split": {"seed": 0, "train": 1294, "validation": 144, "test": 359},
        "digest": "d" * 64,
        "mean": [0.3],
        "std": [0.4],
        "notes": [],
    },
    "onnx": {
        "path": "model.onnx",
        "bytes": 254_422,
        "ok": True,
        "checks": [{"name": "onnx", "ok": True, "text": "The ONNX checker finds no fault."}],
    },
    "environment": {
        "prospr_engine": "0.1.0",
        "python": "3.12.1",
        "torch": "2.11.0",
        "device": "cpu",
        "device_name": "x86_64",
        "threads": 1,
    },
    "fingerprint": "0123456789abcdef",
    "loss": {"dense": 0.1, "pruned": 0.15},
    "method": "prospr",
    "path": True,
    "training": {"epochs": 3, "batch_size": 32, "lr": 0.05},
    "predictions": {"dense": [0] * 359, "pruned": [1] * 359},
    "out": "/server/work",
    "seconds": 33.4,
}


def record(changes: Mapping[str, Any] | None = None) -> RunRecord:
    """The result above as pages read it, with ``changes`` in it: of objects in part."""
    output = copy.deepcopy(RESULT)
    for name, value in copy.deepcopy(dict(changes or {})).items():
        output[name] = _merged(output.get(name), value)
    output["layers"] = [{"effective": 0, "channels": 1, **layer} for layer in output["layers"]]
    output["history"] = [{**HISTORY[0], **epoch} for epoch in output["history"]]
    return RunRecord.from_dict(output)


def layers_of(*layers: Mapping[str, Any]) -> tuple[LayerRecord, ...]:
    """Layers as pages read them; the rest of what they say as it comes."""
    return record({"layers": list(layers)}).pruning.layers


def epochs_of(*epochs: Mapping[str, Any]) -> tuple[EpochEnded, ...]:
    """Epochs as pages read them."""
    return record({"history": list(epochs)}).history


def _merged(before: Any, value: Any) -> Any:
    if isinstance(before, dict) and isinstance(value, dict):
        return before | {name: _merged(before.get(name), each) for name, each in value.items()}
    return value


def finished(
    store: Store,
    owner: str = "alice",
    config: RunConfig | None = None,
    files: Mapping[str, bytes] | None = None,
    **changes: Any,
) -> Run:
    """A run that is done, with the result above, ``changes`` in it, and files beside it."""
    run = running(store, owner, config)
    output = {**copy.deepcopy(RESULT), **changes, "config": run.config.to_dict()}
    for epoch in output["history"]:
        store.record(run.id, {"event": "EpochEnded", **epoch})
    store.record(run.id, {"event": "Finished"})
    folder = store.workspace.run(run.id)
    folder.mkdir(parents=True)
    contents = {"model.onnx": b"the network", "masks.safetensors": b"the masks"}
    for name, content in {**contents, **(files or {})}.items():
        (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps(output["config"]))
    (folder / "result.json").write_text(json.dumps(output))
    store.finish(run.id, "done", folder=folder)
    return found(store, run.id)


def running(store: Store, owner: str = "alice", config: RunConfig | None = None) -> Run:
    """A run in the hands of a worker that does nothing; nobody else may wait."""
    id = store.submit(config or RunConfig(), owner).id
    claimed = store.claim("test")
    assert claimed is not None
    assert claimed.id == id
    return claimed


def found(store: Store, id: str) -> Run:
    """The run as it stands now."""
    run = store.get(id)
    assert run is not None
    return run


def words(at: AppTest) -> str:
    """All that is written on the page."""
    kinds = (at.title, at.header, at.markdown, at.caption, at.error, at.warning)
    return "\n".join(element.value for kind in (*kinds, at.info) for element in kind)


def keys(at: AppTest) -> set[str]:
    return {button.key for button in at.button}


def linked(at: AppTest) -> dict[str, str]:
    """The parameters that the links on the page carry, by their words."""
    return {link.proto.label: link.proto.query_string for link in at.get("page_link")}


def new(visitor: str = "alice", page: str = pages.NEW) -> AppTest:
    """The app in a visitor's tab, at a page, not drawn yet."""
    at = AppTest.from_file(str(ROOT / "app" / "dashboard.py"), default_timeout=PATIENCE)
    at.session_state["visitor"] = visitor
    if page != pages.NEW:
        # Before the first run AppTest knows a page by its file's name alone; ours are all "page".
        at._page_hash = calc_hash(pages.URLS[page])
    return at


def listed(visitor: str = "alice", **query: str) -> AppTest:
    """The list of runs, drawn once."""
    at = new(visitor, pages.RUNS)
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception
    return at
