"""The most interesting test images: those whose prediction pruning changed, those that both
networks get wrong, and a random sample.

Plain arrays, so that a page can show them without torch.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from prospr_engine.data.depth import Range
from prospr_engine.errors import DataError
from prospr_engine.io.files import write_atomically
from prospr_engine.io.tensors import read_tensors
from prospr_engine.pipeline.record import NETWORKS

FILE = "gallery.safetensors"
OUTCOMES = ("right", "lost", "gained", "wrong", "changed")
"""The outcome of an image: both right; only dense right; only pruned right; both wrong with the
same answer; both wrong with different answers."""
MOST_IMAGES = 400
MOST_BYTES = 8_000_000
SAMPLED = 0.25  # share of the gallery for the random sample
WORTH = {"lost": 2, "gained": 2, "changed": 2, "wrong": 1, "right": 0}


@dataclass(frozen=True, eq=False)
class Gallery:
    """N images of a test set, in its order.

    ``images`` is uint8 (N, C, H, W), ``labels`` (N,) their classes, ``numbers`` (N,) their
    positions in the test set from 0, ``sampled`` (N,) whether they belong to the random sample.
    By network, ``answers`` (N,) are classes and ``probabilities`` float16 (N, classes) the
    softmax. ``counts`` is the number of images with each outcome in the whole test set. ``ranges``
    are those of the data's values, if they had more than 8 bits.
    """

    images: np.ndarray
    labels: np.ndarray
    numbers: np.ndarray
    sampled: np.ndarray
    answers: Mapping[str, np.ndarray]
    probabilities: Mapping[str, np.ndarray]
    counts: Mapping[str, int]
    ranges: tuple[Range, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def outcomes(self) -> np.ndarray:
        """The outcome of each image, (N,), as indices into ``OUTCOMES``."""
        return outcomes(self.labels, self.answers)

    @property
    def tested(self) -> int:
        """Images in the whole test set."""
        return sum(self.counts.values())

    def save(self, path: str | Path) -> None:
        """Write one safetensors file; the same gallery gives the same bytes."""
        from safetensors.numpy import save

        arrays = {name: getattr(self, name) for name in ("images", "labels", "numbers", "sampled")}
        for network in NETWORKS:
            arrays[f"answers.{network}"] = self.answers[network]
            arrays[f"probabilities.{network}"] = self.probabilities[network]
        content = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        metadata: dict[str, object] = {"counts": dict(self.counts)}
        if self.ranges:
            metadata["ranges"] = [dataclasses.asdict(one) for one in self.ranges]
        header = {"names": list(content), "metadata": metadata}
        write_atomically(path, save(content, {"prospr": json.dumps(header)}))

    @classmethod
    def load(cls, path: str | Path) -> Gallery:
        """Raises ``DataError`` if the file is not a gallery. Needs no torch."""
        arrays, metadata = read_tensors(path, framework="np")
        try:
            gallery = cls(
                **{name: arrays[name] for name in ("images", "labels", "numbers", "sampled")},
                answers={network: arrays[f"answers.{network}"] for network in NETWORKS},
                probabilities={network: arrays[f"probabilities.{network}"] for network in NETWORKS},
                counts={name: metadata["counts"][name] for name in OUTCOMES},
                ranges=tuple(Range(**values) for values in metadata.get("ranges", ())),
            )
        except (KeyError, TypeError):
            raise DataError(f"{path} is not a gallery; run the settings again.") from None
        return gallery


def outcomes(labels: np.ndarray, answers: Mapping[str, np.ndarray]) -> np.ndarray:
    """The outcome of each image, (N,), as indices into ``OUTCOMES``."""
    dense, pruned = (answers[network] for network in NETWORKS)
    cases = [
        (dense == labels) & (pruned == labels),
        dense == labels,
        pruned == labels,
        dense == pruned,
    ]
    return np.select(cases, range(len(cases)), default=len(cases))


def choose(outcome: np.ndarray, image_bytes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The images for the gallery: their positions in ascending order, (N,), and which of them
    belong to the random sample, bool (N,).

    A quarter of the gallery is the sample. The rest are images whose prediction changed, then
    those that both networks get wrong, then any others.
    """
    room = min(len(outcome), MOST_IMAGES, max(1, MOST_BYTES // image_bytes))
    order = np.random.default_rng(seed).permutation(len(outcome))
    sample, others = np.split(order, [max(1, round(SAMPLED * room))])
    worth = np.array([WORTH[name] for name in OUTCOMES])[outcome[others]]
    rest = others[np.argsort(-worth, kind="stable")][: room - len(sample)]
    chosen = np.sort(np.concatenate([sample, rest]))
    return chosen, np.isin(chosen, sample)
