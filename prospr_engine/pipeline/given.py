"""What is known about weights that were trained elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.data.images import ImageData
from prospr_engine.errors import ModelError
from prospr_engine.format import listed
from prospr_engine.identity import file_settings
from prospr_engine.io.tokens import display_name
from prospr_engine.models import is_file
from prospr_engine.models.classifier import find_classifier
from prospr_engine.models.collections import collection_of
from prospr_engine.models.imports.header import Header, read_header
from prospr_engine.models.imports.network_file import describe
from prospr_engine.models.imports.state_dict import weights_file

SHOWN = 4
IMAGENET = 1000
"""Classes of ImageNet."""


@dataclass(frozen=True)
class Given:
    """Given weights: the ``label`` of their file, whether the ``classifier`` is the one that came
    with them, and whether they probably were trained on ``imagenet``."""

    label: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    classifier: bool = True
    imagenet: bool = False


def given_of(config: RunConfig, model: nn.Module, data: ImageData) -> Given | None:
    """What is known about the weights of ``model``; None if they are new."""
    if not config.given:
        return None
    file = file_settings(config).get("weights")
    if file is None and is_file(config.model):
        found = describe(config.model)
        same = found.classes == len(data.classes)
        return Given(found.label, same, imagenet=found.classes == IMAGENET)
    if file is None:
        # Those of libraries know ImageNet, whose classes are hardly those of the data.
        return Given(classifier=False, imagenet=True)
    header = read_header(weights_file(file), display_name(file))
    library = collection_of(config.model) is not None
    return Given(header.label, _has_classifier(header, model, data.shape), imagenet=library)


def class_note(given: Given, classes: Sequence[str]) -> str:
    """Whether the scores of the given network stand for the data's ``classes``, in that order; ""
    if they do, or if the classifier is new."""
    if not given.classifier:
        return ""
    named = given.label.get("classes")
    matched = "Its scores are taken for the data's classes by position; fine-tuning corrects them."
    if not isinstance(named, list):
        return (
            "The given network has as many classes as the data, but does not say which is which. "
            f"{matched}"
        )
    if [*map(str, named)] == [*classes]:
        return ""
    if sorted(map(str, named)) == sorted(classes):
        return f"The given network has the data's classes in another order. {matched}"
    names = listed(map(str, named), SHOWN)
    return f"The given network has other classes than the data ({names}). {matched}"


def _has_classifier(header: Header, model: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether the file has the parameters that make the class scores, in these shapes."""
    try:
        found = find_classifier(model, shape)
    except ModelError:
        return False
    return all(
        any(
            info.shape == tuple(model.get_parameter(name).shape)
            for source, info in header.tensors.items()
            if source == name or source.endswith(f".{name}")
        )
        for name in found
    )
