"""The networks to choose from: the table ``MODELS``.

Iteration covers the built-in zoo. Looking up ``torchvision/<name>`` or ``timm/<name>`` also finds
any classification network of these libraries, which are imported only then (seconds), and looking
up the path or token of an ONNX file the network in it.
"""

from __future__ import annotations

from pathlib import PurePath

from prospr_engine.errors import ConfigError
from prospr_engine.io.tokens import display_name, is_token
from prospr_engine.models.collections import COLLECTIONS, collection_of, listed_names
from prospr_engine.models.spec import ModelSpec
from prospr_engine.registry import Registry

SEPARATORS = frozenset("/\\")
"""Of the folders in a path."""


class ModelRegistry(Registry[ModelSpec]):
    """The built-in zoo, with the builders of other libraries and users' files behind it."""

    def names(self, text: str) -> bool:
        """Whether ``text`` is meant as a name and not as a file: a misspelt one is, too."""
        if is_token(text):
            return False
        named = text in self._specs or collection_of(text) is not None
        return named or not (SEPARATORS & {*text} or PurePath(text).suffix)

    def __getitem__(self, name: str) -> ModelSpec:
        if isinstance(name, str) and not self.names(name):
            return file_row(name)
        collection = collection_of(name)
        if collection is None:
            return super().__getitem__(name)
        if not collection.installed:
            raise KeyError(name)
        row: ModelSpec = collection.adapter().spec(name.removeprefix(collection.prefix))
        return row

    def find(self, name: str) -> ModelSpec:
        """The row called ``name``; raises ``ConfigError`` with a suggestion if there is none, or
        if its library is not installed."""
        collection = collection_of(name)
        if collection and name not in self:
            raise collection.missing(name)
        if isinstance(name, str) and not self.names(name):
            from prospr_engine.models.imports.network_file import check_file

            check_file(name)
            return self[name]
        try:
            return super().find(name)
        except ConfigError as error:
            raise ConfigError(f"{error}{_elsewhere(name)}") from None


def _elsewhere(name: object) -> str:
    """The networks of other libraries, for someone who gave the unknown ``name``."""
    theirs = {full.partition("/")[2]: full for full in reversed(listed_names())}
    if isinstance(name, str) and name in theirs:
        return f" There is {theirs[name]}; give that name."
    called = " and ".join(f"{one.prefix}<name>" for one in COLLECTIONS)
    return f" Networks of other libraries are called {called}, such as {COLLECTIONS[0].example}."


def file_row(file: str) -> ModelSpec:
    """The row of the network in an ONNX file, by path or token; the file is not opened."""
    return ModelSpec(
        name=file,
        label=display_name(file),
        description="The network in an ONNX file.",
        target="prospr_engine.models.imports.network_file:build",
        lr=0.01,  # its weights may be trained, and its batch norms folded away
        pretrained=True,
    )


def is_file(model: str) -> bool:
    """Whether ``model`` is the path or token of an ONNX file."""
    return not MODELS.names(model)


def label_of(model: str) -> str:
    """What to call a network that a setting names; imports no library, and opens no file."""
    return MODELS[model].label if model in list(MODELS) or is_file(model) else model


def public_name(model: str) -> str:
    """The name of a network in what others may see: of a file without its path."""
    return display_name(model) if is_file(model) else model


def torchvision_names() -> list[str]:
    """Every <name> for which ``torchvision/<name>`` exists. Imports torchvision (seconds)."""
    from prospr_engine.models import torchvision_zoo

    return torchvision_zoo.names()


LENET_PAPER = "http://yann.lecun.com/exdb/publis/pdf/lecun-98.pdf"
RESNET_PAPER = "https://arxiv.org/abs/1512.03385"
VGG_PAPER = "https://arxiv.org/abs/1409.1556"

MODELS = ModelRegistry(
    "model",
    (
        ModelSpec(
            "small_cnn",
            "Small CNN",
            "Four convolutions with batch norm; learns digits in seconds without a GPU.",
            "prospr_engine.models.zoo.small:small_cnn",
            lr=0.1,
            parameters=61_338,
        ),
        ModelSpec(
            "mlp",
            "LeNet-300-100",
            "Three linear layers (300, 100, classes), the classic of pruning papers.",
            "prospr_engine.models.zoo.small:mlp",
            paper=LENET_PAPER,
            lr=0.02,
            parameters=953_010,
        ),
        ModelSpec(
            "lenet5",
            "LeNet-5",
            "Two convolutions and three linear layers, with ReLU and max pooling.",
            "prospr_engine.models.zoo.small:lenet5",
            paper=LENET_PAPER,
            lr=0.02,
            parameters=62_006,
        ),
        ModelSpec(
            "resnet20",
            "ResNet-20",
            "The thin residual network for CIFAR; its shortcuts have no weights.",
            "prospr_engine.models.zoo.resnet:resnet20",
            paper=RESNET_PAPER,
            parameters=269_722,
        ),
        ModelSpec(
            "resnet32",
            "ResNet-32",
            "ResNet-20 with five blocks per stage instead of three.",
            "prospr_engine.models.zoo.resnet:resnet32",
            paper=RESNET_PAPER,
            parameters=464_154,
        ),
        ModelSpec(
            "resnet18",
            "ResNet-18 (small images)",
            "ResNet-18 with a 3×3 first convolution and no initial pooling, for small images.",
            "prospr_engine.models.zoo.resnet:resnet18",
            paper=RESNET_PAPER,
            parameters=11_173_962,
        ),
        ModelSpec(
            "resnet50",
            "ResNet-50 (small images)",
            "ResNet-50 with a 3×3 first convolution and no initial pooling; slow without a GPU.",
            "prospr_engine.models.zoo.resnet:resnet50",
            paper=RESNET_PAPER,
            parameters=23_520_842,
        ),
        ModelSpec(
            "vgg16_bn",
            "VGG-16 (batch norm)",
            "Thirteen convolutions with batch norm and one linear classifier.",
            "prospr_engine.models.zoo.vgg:vgg16_bn",
            paper=VGG_PAPER,
            parameters=14_728_266,
        ),
        ModelSpec(
            "vgg19_bn",
            "VGG-19 (batch norm)",
            "Sixteen convolutions with batch norm and one linear classifier.",
            "prospr_engine.models.zoo.vgg:vgg19_bn",
            paper=VGG_PAPER,
            parameters=20_040_522,
        ),
        ModelSpec(
            "wrn28_2",
            "Wide ResNet-28-2",
            "A residual network of 28 layers, twice as wide as the thin ones.",
            "prospr_engine.models.zoo.wideresnet:wrn28_2",
            paper="https://arxiv.org/abs/1605.07146",
            parameters=1_467_610,
        ),
    ),
)
