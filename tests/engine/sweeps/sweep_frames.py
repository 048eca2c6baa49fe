"""Tables of sweeps from arrays of accuracies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd


def cells(accuracy: np.ndarray, **more: Any) -> pd.DataFrame:
    """A finished cell per sparsity, seed and series, from an array of that shape; NaN: none."""
    index = np.indices(accuracy.shape).reshape(3, -1)
    frame = pd.DataFrame({
        "sparsity": index[0] / 100 + 0.5, "seed": index[1], "method": index[2],
        "series": [f"series {i}" for i in index[2]], "order": index[2],
        "control": ["none" if i == 0 else "shuffle" for i in index[2]],
        "accuracy": accuracy.ravel(), "dense_accuracy": 0.99, "test_images": 1_000_000_000,
        "state": "done", "model": "m", "data": "upload", "steps": 1, "options": "", "epochs": 1,
        "kind": "weights", "channel_budget": "", "given": False,
        **more,
    })  # fmt: skip
    return frame[frame["accuracy"].notna()]
