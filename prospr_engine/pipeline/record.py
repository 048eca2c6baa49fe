"""The main figures of a result: what a list of runs shows without opening the result itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESULT = "result.json"


def summary(result: Mapping[str, Any]) -> dict[str, Any]:
    """From what ``result.json`` holds. Accuracies and sparsities are fractions, losses nats;
    ``bytes`` is the size of the ONNX file and ``zipped`` that of a zip with nothing else in it,
    ``digest`` that of the data, ``seconds`` the wall time of the whole run and ``seconds_of``
    what scoring and training took of it. What an earlier version did not tell is None."""
    layers, split = result["layers"], result["data"]["split"]
    return {
        "accuracy": result["accuracy"],
        "loss": result["loss"],
        "sparsity": result["sparsity"],
        "kept": sum(layer["kept"] for layer in layers),
        "total": sum(layer["total"] for layer in layers),
        "bytes": result["onnx"]["bytes"],
        "zipped": result["onnx"].get("zipped"),
        "seconds": result["seconds"],
        "seconds_of": result.get("seconds_of"),
        "digest": result["data"]["digest"],
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
