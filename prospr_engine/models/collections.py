"""Networks of other libraries, called ``<library>/<name>``; reading this table imports none."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from prospr_engine.errors import ConfigError
from prospr_engine.registry import did_you_mean

INDEX = Path(__file__).with_name("collections.json")
"""Written by ``python -m prospr_engine.models.signatures``."""


@dataclass(frozen=True)
class Collection:
    """The classification networks of one library.

    ``module`` adapts it: it has ``names()``, ``spec(name)`` (which raises ``KeyError`` for an
    unknown name), ``usual_size(name)``, ``build(name, shape, classes, pretrained=False)`` and, for
    networks with weights, ``published(name)``; and imports the library.
    """

    name: str
    """Also the name of the package to import."""
    label: str
    """As a sentence begins with it."""
    module: str
    example: str
    trained: str
    """What its published weights are, worded to follow "starts from"."""
    install: str = ""
    """The command that installs the library, where this software works without it."""

    @property
    def prefix(self) -> str:
        return f"{self.name}/"

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.name) is not None

    def adapter(self) -> Any:
        """The module that knows the library, imported (seconds). Raises ``ConfigError`` if the
        library is not installed."""
        if not self.installed:
            raise ConfigError(
                f"Networks called {self.prefix}<name> need the package {self.name}, which is not "
                f"installed. Install it: {self.install}"
            )
        return importlib.import_module(self.module)

    def listed(self) -> list[str]:
        """The full names of its networks as far as they are known without importing the library;
        none if it is not installed."""
        known = self._indexed()["networks"] if self.installed else {}
        return [self.prefix + name for name in known]

    def names(self) -> list[str]:
        """The full names of its networks in the installed version, which is imported (seconds)
        unless it is the one of the index."""
        if self.installed and metadata.version(self.name) == self._indexed()["version"]:
            return self.listed()
        return [self.prefix + name for name in self.adapter().names()]

    def lacks(self, name: str) -> bool:
        """Whether it is certain, without importing the library, that it has no network ``name``."""
        if not self.installed:
            return True
        current = metadata.version(self.name) == self._indexed()["version"]
        # What follows a dot names published weights.
        own_name = name.removeprefix(self.prefix).partition(".")[0]
        return current and own_name not in self._indexed()["networks"]

    def missing(self, name: str) -> ConfigError:
        """What to say about ``name``, which begins with the prefix and which it lacks."""
        known = self.names()
        return ConfigError(
            f"{self.label} has no classification network {name!r}{did_you_mean(name, known)}; "
            f"give one of its {len(known):,} names, such as {self.example}."
        )

    def _indexed(self) -> dict[str, Any]:
        found: dict[str, Any] = index()[self.name]
        return found


COLLECTIONS: tuple[Collection, ...] = (
    Collection(
        "torchvision",
        "torchvision",
        "prospr_engine.models.torchvision_zoo",
        "torchvision/resnet18",
        "torchvision's ImageNet weights",
    ),
    Collection(
        "timm",
        "timm",
        "prospr_engine.models.timm_zoo",
        "timm/resnet10t",
        "the weights that timm publishes on the Hugging Face Hub",
        install="pip install timm",
    ),
)


def collection_of(name: object) -> Collection | None:
    """The collection that a network called ``name`` belongs to, by its prefix; None for those of
    our own zoo. Imports nothing."""
    if not isinstance(name, str):
        return None
    return next((one for one in COLLECTIONS if name.startswith(one.prefix)), None)


def listed_names() -> list[str]:
    """The full names of all networks of installed collections, without importing any."""
    return [name for collection in COLLECTIONS for name in collection.listed()]


@functools.cache
def index() -> dict[str, Any]:
    """By library: the ``version`` that was indexed, and for each of its ``networks`` how its
    tensors can be recognised (see ``signatures``)."""
    content: dict[str, Any] = json.loads(INDEX.read_text("utf-8"))
    return content
