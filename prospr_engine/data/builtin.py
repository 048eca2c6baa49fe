"""Data included with the software: scikit-learn's digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from prospr_engine.data.source import Source, array_source
from prospr_engine.events import OnEvent

if TYPE_CHECKING:
    from prospr_engine.data import DatasetSpec


def digits(spec: DatasetSpec, on_event: OnEvent) -> Source:
    """1797 handwritten digits, (1, 8, 8), their 17 grey levels spread over 0..255.

    There is no test part: the seed decides which images are held out for it.
    Source: https://scikit-learn.org/stable/modules/generated/sklearn.datasets.load_digits.html
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, np.newaxis]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    classes = tuple(str(name) for name in bunch.target_names)
    return array_source(classes, {"train": (torch.from_numpy(images), labels)})
