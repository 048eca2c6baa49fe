"""The main figures of a result: what a list of runs shows without opening the result itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prospr_engine.files import write_atomically

RESULT = "result.json"


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """From what ``result.json`` holds. Accuracies and sparsities are fractions, ``bytes`` is the
    size of the ONNX file, ``seconds`` the wall time of the whole run."""
    layers, split = result["layers"], result["data"]["split"]
    return {
        "accuracy": result["accuracy"],
        "sparsity": result["sparsity"],
        "kept": sum(layer["kept"] for layer in layers),
        "total": sum(layer["total"] for layer in layers),
        "bytes": result["onnx"]["bytes"],
        "seconds": result["seconds"],
        "shape": result["data"]["shape"],
        "classes": len(result["data"]["classes"]),
        "train_images": split["train"],
        "validation_images": split["validation"],
        "test_images": split["test"],
        "epochs": result["config"]["epochs"],
        "trusted": result["trust"]["trusted"],
        "device": result["environment"]["device"],
        "device_name": result["environment"]["device_name"],
        "threads": result["environment"]["threads"],
    }


def make_portable(folder: Path) -> dict[str, Any]:
    """Take the folder's own name out of its ``result.json``, which strangers may read, and
    return the result. Raises ``OSError`` or ``ValueError`` if there is none."""
    path = folder / RESULT
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    result["out"] = "."
    result["onnx"]["path"] = Path(result["onnx"]["path"]).name
    write_atomically(path, json.dumps(result, indent=2) + "\n")
    return result
