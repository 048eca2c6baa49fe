"""Predictions of trained networks: class probabilities of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from prospr_engine.data.images import ImageData, normalise
from prospr_engine.errors import DataError
from prospr_engine.network.foreign import set_mode
from prospr_engine.pipeline.checkpoint import load_network
from prospr_engine.pipeline.gallery import NETWORKS, OUTCOMES, Gallery, choose, outcomes

BATCH = 128


@dataclass(frozen=True, eq=False)
class Pair:
    """The dense and the pruned network of a run, in eval mode on the CPU, for images of
    ``shape`` (C, H, W) normalised by ``mean`` and ``std``, as they were trained."""

    networks: Mapping[str, nn.Module]
    shape: tuple[int, int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def answer(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """By network the probabilities, float32 (classes,), for uint8 ``pixels`` (C, H, W).

        Raises ``DataError`` if the image is not of the networks' shape.
        """
        if pixels.dtype != np.uint8 or pixels.shape != self.shape:
            raise DataError(
                f"The image is {pixels.dtype} of shape {pixels.shape}; these networks take 8-bit "
                f"images of shape {self.shape}."
            )
        images = torch.from_numpy(np.ascontiguousarray(pixels))[None]
        return {
            name: probabilities(network, images, self.mean, self.std)[0].numpy()
            for name, network in self.networks.items()
        }


def load_pair(files: Mapping[str, str | Path]) -> Pair:
    """Load both networks from a run's files by network ("dense", "pruned"). Raises
    ``DataError``."""
    networks = {}
    for name in NETWORKS:
        network, label = load_network(files[name])
        networks[name] = network.eval().requires_grad_(False)
    channels, height, width = label["shape"]
    scale = label["preprocessing"]
    return Pair(networks, (channels, height, width), tuple(scale["mean"]), tuple(scale["std"]))


def probabilities(
    network: nn.Module,
    images: Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    device: torch.device | None = None,
) -> Tensor:
    """Softmax, float32 (N, classes) on the CPU, of ``network``'s logits for uint8 ``images``
    (N, C, H, W). Computed in eval mode on ``device``; the network's mode is restored."""
    was_training = network.training
    set_mode(network, False)
    try:
        with torch.inference_mode():
            chunks = [
                network(normalise(chunk.to(device or "cpu"), mean, std)).softmax(1).cpu()
                for chunk in images.split(BATCH)
            ]
    finally:
        set_mode(network, was_training)
    return torch.cat(chunks)


def make_gallery(
    networks: Mapping[str, nn.Module],
    answers: Mapping[str, np.ndarray],
    data: ImageData,
    seed: int,
    device: torch.device | None = None,
) -> Gallery:
    """The gallery of ``networks`` ("dense", "pruned"; on ``device``); ``answers`` are their
    predicted classes for all test images of ``data``, (N,)."""
    labels = data.test.labels.numpy()
    outcome = outcomes(labels, answers)
    chosen, sampled = choose(outcome, math.prod(data.shape), seed)
    images = data.test.images[torch.from_numpy(chosen)]
    return Gallery(
        images=images.numpy(),
        labels=labels[chosen],
        numbers=chosen,
        sampled=sampled,
        answers={name: answers[name][chosen] for name in NETWORKS},
        probabilities={
            name: probabilities(networks[name], images, data.mean, data.std, device)
            .numpy()
            .astype(np.float16)
            for name in NETWORKS
        },
        counts={name: int((outcome == i).sum()) for i, name in enumerate(OUTCOMES)},
        ranges=data.ranges,
    )
