"""The image data sets to choose from: the table ``DATASETS``.

Besides these names, ``load`` takes a path of images in one of ``readers.FORMATS``.
"""

from __future__ import annotations

from dataclasses import dataclass

from prospr_engine.registry import Registry, Spec


@dataclass(frozen=True)
class DatasetSpec(Spec):
    """A known data set; ``target`` is ``(spec, on_event) -> Source``."""

    channels: int
    classes: int
    image_size: int
    """Height and width in pixels."""
    train: int
    """Images for training, before any are held out for validation."""
    test: int
    download_mb: int | None
    """Megabytes fetched on first use; ``None`` if nothing is fetched."""
    augmentation: str
    """What suits these images: ``"none"``, ``"shift"`` or ``"shift+flip"``."""
    source: str
    licence: str | None = None


DATASETS: Registry[DatasetSpec] = Registry(
    "data set",
    (
        DatasetSpec(
            name="digits",
            label="Digits",
            description="Handwritten digits, 8×8 pixels; included, no download",
            target="prospr_engine.data.builtin:digits",
            channels=1,
            classes=10,
            image_size=8,
            train=1438,
            test=359,
            download_mb=None,
            augmentation="none",  # the strokes reach the edge: a shift would cut them off
            source="https://archive.ics.uci.edu/dataset/80",
            licence="CC BY 4.0",
        ),
        DatasetSpec(
            name="mnist",
            label="MNIST",
            description="Handwritten digits",
            target="prospr_engine.data.torchvision_sets:mnist",
            channels=1,
            classes=10,
            image_size=28,
            train=60_000,
            test=10_000,
            download_mb=12,
            augmentation="shift",
            source="http://yann.lecun.com/exdb/mnist/",
            licence="CC BY-SA 3.0",
        ),
        DatasetSpec(
            name="fashion_mnist",
            label="Fashion-MNIST",
            description="Greyscale photographs of clothing, in the format of MNIST",
            target="prospr_engine.data.torchvision_sets:mnist",
            channels=1,
            classes=10,
            image_size=28,
            train=60_000,
            test=10_000,
            download_mb=31,
            augmentation="shift+flip",
            source="https://github.com/zalandoresearch/fashion-mnist",
            licence="MIT",
        ),
        DatasetSpec(
            name="kmnist",
            label="Kuzushiji-MNIST",
            description="Cursive Japanese characters, in the format of MNIST",
            target="prospr_engine.data.torchvision_sets:mnist",
            channels=1,
            classes=10,
            image_size=28,
            train=60_000,
            test=10_000,
            download_mb=21,
            augmentation="shift",
            source="https://github.com/rois-codh/kmnist",
            licence="CC BY-SA 4.0",
        ),
        DatasetSpec(
            name="svhn",
            label="SVHN",
            description="House numbers photographed from the street, one digit at a time",
            target="prospr_engine.data.torchvision_sets:svhn",
            channels=3,
            classes=10,
            image_size=32,
            train=73_257,
            test=26_032,
            download_mb=246,
            augmentation="shift",
            source="http://ufldl.stanford.edu/housenumbers/",
            licence="for non-commercial use only",
        ),
        DatasetSpec(
            name="cifar10",
            label="CIFAR-10",
            description="Small colour photographs of animals and vehicles",
            target="prospr_engine.data.torchvision_sets:cifar",
            channels=3,
            classes=10,
            image_size=32,
            train=50_000,
            test=10_000,
            download_mb=170,
            augmentation="shift+flip",
            source="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
        DatasetSpec(
            name="cifar100",
            label="CIFAR-100",
            description="Small colour photographs in a hundred classes",
            target="prospr_engine.data.torchvision_sets:cifar",
            channels=3,
            classes=100,
            image_size=32,
            train=50_000,
            test=10_000,
            download_mb=169,
            augmentation="shift+flip",
            source="https://www.cs.toronto.edu/~kriz/cifar.html",
        ),
    ),
)
