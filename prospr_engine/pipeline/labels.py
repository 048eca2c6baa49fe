"""What the file of a trained network says of itself."""

from __future__ import annotations

from typing import Any

from prospr_engine.pipeline.result import Pruning, environment
from prospr_engine.pipeline.setup import Prepared


def label_of(
    network: str, prepared: Prepared, pruning: Pruning, accuracy: dict[str, float]
) -> dict[str, Any]:
    """What the file of a network ("dense" or "pruned") says of itself. No clock and no path, so
    that the same run on the same machine writes the same bytes."""
    config, data = prepared.config, prepared.data
    sparsity = pruning.to_dict()["sparsity"]
    if network == "dense":
        # Nothing of the pruned one: all runs that share the dense network share its file.
        config = config.dense
        sparsity = dict.fromkeys(sparsity, 0.0)
        accuracy = {"dense": accuracy["dense"]}
    return {
        "network": network,
        "model": config.model,
        "shape": list(data.shape),
        "transform_input": getattr(prepared.model, "transform_input", False),
        "weights": prepared.weights,
        "method": config.method if network == "pruned" else None,
        "method_options": dict(pruning.scores.options) if network == "pruned" else {},
        "control": config.control,
        "sparsity": sparsity,
        "seed": config.seed,
        "epochs": config.epochs,
        "data": {"name": data.name, "digest": data.digest},
        "classes": list(data.classes),
        # What to feed: (pixel / 255 − mean) / std, per channel.
        "preprocessing": {"scale": 255, "mean": list(data.mean), "std": list(data.std)},
        "accuracy": accuracy,
        "fingerprint": config.fingerprint,
        "environment": environment(prepared.device),
    }
