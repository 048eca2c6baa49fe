"""Images in memory: three splits of 8-bit pixels, with the statistics to normalise them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from prospr_engine.data.depth import Range
from prospr_engine.errors import DataError

CHUNK = 4096  # images counted at a time, so that they are not all copied to a wider type at once


@dataclass(frozen=True, eq=False)
class Split:
    """Images, uint8 of shape (N, C, H, W), and their classes, int64 of shape (N,)."""

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim != 4:
            raise DataError(
                f"Images must be 8-bit of shape (N, C, H, W), but are {self.images.dtype} of "
                f"shape {tuple(self.images.shape)}."
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise DataError(
                f"There are {len(self.images)} images, but the labels are {self.labels.dtype} of "
                f"shape {tuple(self.labels.shape)}; give one integer per image."
            )

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class ImageData:
    """The data of a run.

    ``mean`` and ``std`` are those of the training split, per channel, of pixels scaled to 0..1.
    ``notes`` are sentences for the user: what was resized, skipped or split; the ``warnings`` among
    them put the accuracies in doubt.
    ``ranges`` are those of values with more than 8 bits, if there were any before.
    ``digest`` (SHA-256, hex) covers class names, images, labels and the split.

    Raises ``DataError`` if the splits do not fit together.
    """

    name: str
    classes: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augmentation: str
    notes: tuple[str, ...]
    warnings: tuple[str, ...]
    digest: str
    ranges: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise DataError(f"{self.name} has {len(self.classes)} class; at least 2 are needed.")
        for part, split in self.splits.items():
            if not len(split):
                raise DataError(f"The {part} split of {self.name} is empty; give it more images.")
            if split.images.shape[1:] != self.train.images.shape[1:]:
                raise DataError(
                    f"The {part} images of {self.name} have the shape "
                    f"{tuple(split.images.shape[1:])}, but the training images {self.shape}; all "
                    "must have the same shape."
                )
            if split.labels.min() < 0 or split.labels.max() >= len(self.classes):
                raise DataError(
                    f"The {part} labels of {self.name} must lie between 0 and "
                    f"{len(self.classes) - 1}."
                )
        counts = torch.bincount(self.train.labels, minlength=len(self.classes))
        missing = [name for name, count in zip(self.classes, counts, strict=True) if not count]
        if missing:
            raise DataError(
                f"{self.name} has no training image of {', '.join(missing[:5])}; add images of "
                "it, or raise train_limit."
            )

    @classmethod
    def build(
        cls,
        name: str,
        classes: tuple[str, ...],
        train: Split,
        validation: Split,
        test: Split,
        augmentation: str,
        notes: tuple[str, ...] = (),
        warnings: tuple[str, ...] = (),
        ranges: tuple[Range, ...] = (),
    ) -> ImageData:
        """Compute ``mean``, ``std`` and ``digest``, and build the object."""
        mean, std = channel_statistics(train.images)
        return cls(
            name=name,
            classes=classes,
            train=train,
            validation=validation,
            test=test,
            mean=mean,
            std=std,
            augmentation=augmentation,
            notes=notes,
            warnings=warnings,
            digest=_digest(classes, (train, validation, test)),
            ranges=ranges,
        )

    @property
    def splits(self) -> dict[str, Split]:
        return {"train": self.train, "validation": self.validation, "test": self.test}

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of every image."""
        C, H, W = self.train.images.shape[1:]
        return C, H, W

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def image_size(self) -> int:
        """Height in pixels; images from ``load`` are square."""
        return self.shape[1]


def normalise(
    images: Tensor,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Pixels 0..255 of shape (..., C, H, W) as ``dtype``, with mean zero and unit deviation.

    Computed in at least single precision, and rounded to narrower types only at the end.
    """
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    centre = torch.tensor(mean, dtype=exact, device=images.device).view(-1, 1, 1) * 255
    spread = torch.tensor(std, dtype=exact, device=images.device).view(-1, 1, 1) * 255
    return images.to(exact).sub_(centre).div_(spread).to(dtype)


def channel_statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 (N, C, H, W), on the scale 0..1.

    Taken from exact counts of the 256 values, so that they do not depend on the order of the
    images. A constant channel gets the deviation 1, to avoid division by zero.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in range(images.shape[1]):
        counts = torch.zeros(256, dtype=torch.int64)
        for chunk in images[:, channel].split(CHUNK):
            counts += torch.bincount(chunk.flatten(), minlength=256)
        share = counts.double() / max(1, int(counts.sum()))
        mean = (share * values).sum()
        variance = (share * (values - mean) ** 2).sum()
        means.append(mean.item())
        deviations.append(variance.sqrt().item() if int((counts > 0).sum()) > 1 else 1.0)
    return tuple(means), tuple(deviations)


def _digest(classes: tuple[str, ...], splits: tuple[Split, ...]) -> str:
    digest = hashlib.sha256(repr(classes).encode("utf-8", "surrogateescape"))
    for split in splits:
        digest.update(repr(tuple(split.images.shape)).encode())
        for tensor in (split.images, split.labels):
            digest.update(tensor.contiguous().view(-1).numpy().view(np.uint8).data)
    return digest.hexdigest()
