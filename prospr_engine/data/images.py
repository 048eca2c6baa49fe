"""Three splits of 8-bit images, with the statistics to normalise them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from prospr_engine.data.depth import Range
from prospr_engine.data.streamed import Chosen, Images, Streamed, batches
from prospr_engine.data.survey import statistics, survey
from prospr_engine.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Images, uint8 of shape (N, C, H, W), and their classes, int64 of shape (N,). The images are
    a tensor, or decoded whenever they are needed if they do not fit in memory."""

    images: Images
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

    def batches(self, chunks: Iterable[Chosen]) -> Iterator[Tensor]:
        """The images of each of ``chunks`` in turn. Raises ``DataError`` if images that are
        decoded only now can no longer be read, or have changed."""
        return batches(self.images, chunks)


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
        splits = [(split.images, split.labels) for split in (train, validation, test)]
        found = survey(classes, splits)
        mean, std = statistics(found.levels[0])
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
            digest=found.digest,
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
    def changed(self) -> bool:
        """Whether images on the disk are no longer what they were when they were loaded."""
        images = self.train.images
        return isinstance(images, Streamed) and images.decoder.changed

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
