"""What is known about weights that were trained elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.data.images import ImageData
from prospr_engine.format import listed
from prospr_engine.identity import file_settings
from prospr_engine.io.tokens import display_name
from prospr_engine.models import is_file
from prospr_engine.models.collections import collection_of
from prospr_engine.models.imports.header import Header, read_header
from prospr_engine.models.imports.network_file import describe
from prospr_engine.models.imports.state_dict import weights_file
from prospr_engine.models.outline import classifier_of
from prospr_engine.models.spec import Published

SHOWN = 4
IMAGENET = 1000
"""Classes of ImageNet."""


@dataclass(frozen=True)
class Given:
    """Given weights: the ``label`` of their file, whether the ``classifier`` is the one that came
    with them, whether they probably were trained on ``imagenet``, and what the library that
    ``published`` them says of them."""

    label: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    classifier: bool = True
    imagenet: bool = False
    published: Published | None = None


def given_of(config: RunConfig, model: nn.Module, data: ImageData) -> Given | None:
    """What is known about the weights of ``model``; None if they are new."""
    if not config.given:
        return None
    file = file_settings(config).get("weights")
    if file is None and is_file(config.model):
        found = describe(config.model)
        same = found.classes == len(data.classes)
        return Given(found.label, same, imagenet=found.classes == IMAGENET)
    classes = len(data.classes)
    library = collection_of(config.model)
    if file is None and library:
        published = library.adapter().published(config.model.removeprefix(library.prefix))
        return Given(classifier=published.classes == classes, published=published)
    assert file is not None, "only networks of libraries and of files come with weights"
    header = read_header(weights_file(file), display_name(file))
    classifier = _has_classifier(header, config.model, model, data.shape, classes)
    return Given(header.label, classifier, imagenet=library is not None)


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


def _has_classifier(
    header: Header, name: str, model: nn.Module, shape: tuple[int, int, int], classes: int
) -> bool:
    """Whether the file has the parameters that make the class scores, in these shapes."""
    return all(
        any(
            info.shape == tuple(model.get_parameter(own).shape)
            for source, info in header.tensors.items()
            if source == own or source.endswith(f".{own}")
        )
        for own in classifier_of(name, model, shape, classes)
    )
