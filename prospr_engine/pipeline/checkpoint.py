"""Networks saved by a run: how they are rebuilt, loaded and exported again.

The file of a network contains its tensors, a label for people, and two more keys: ``source``, where
the architecture comes from, and ``surgery``, what was removed from it since.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from prospr_engine.config import CHANNELS
from prospr_engine.errors import DataError
from prospr_engine.export.encodings import ENCODINGS, PRIMARY
from prospr_engine.export.export import write_file
from prospr_engine.export.proof import Proof
from prospr_engine.io.tensors import load_tensors, read_tensors, save_tensors
from prospr_engine.models import is_file, public_name
from prospr_engine.models.build import build
from prospr_engine.models.collections import COLLECTIONS, collection_of
from prospr_engine.models.imports.network_file import describe, rebuilt, resize
from prospr_engine.network.tied import untie
from prospr_engine.pipeline.calibration import images_of_run
from prospr_engine.pipeline.own_graph import own_template, trace_for
from prospr_engine.pruning.masks import Masks, keep_all
from prospr_engine.structured.surgery import replay

KEYS = ("source", "surgery")


@dataclass(frozen=True)
class Source:
    """Where an architecture comes from: ``name`` is its name in the source ``kind``, built for
    images of ``shape`` (C, H, W) and that many ``classes``. Inception and GoogLeNet keep half of
    their input scaling outside the weights, in ``transform_input``. A network from an ONNX file is
    its ``skeleton``: see ``NetworkFile``."""

    kind: str
    name: str
    shape: tuple[int, int, int]
    classes: int
    transform_input: bool = False
    skeleton: str = ""
    classifier: Mapping[str, int] = field(default_factory=dict)
    """The part of a network from a file that was given another number of classes."""

    @classmethod
    def of(
        cls, model: str, shape: tuple[int, int, int], classes: int, transform_input: bool = False
    ) -> Source:
        """The source of a network of ``MODELS``, or of one in an ONNX file."""
        if is_file(model):
            found = describe(model)
            return cls(
                "onnx",
                public_name(model),
                shape,
                classes,
                skeleton=found.skeleton,
                classifier=found.classifier if found.classes != classes else {},
            )
        collection = collection_of(model)
        if collection is None:
            return cls("zoo", model, shape, classes, transform_input)
        name = model.removeprefix(collection.prefix)
        return cls(collection.name, name, shape, classes, transform_input)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values; what only some kinds have is left out of the others."""
        values = dataclasses.asdict(self)
        own = ("skeleton", "classifier")
        return values if self.skeleton else {k: v for k, v in values.items() if k not in own}

    def build(self, seed: int = 0) -> nn.Module:
        """The network with new weights, drawn from ``seed``. Raises ``DataError`` for an unknown
        kind of source, ``EngineError`` if the network cannot be built."""
        try:
            builder = BUILDERS[self.kind]
        except KeyError:
            raise DataError(
                f"The network comes from a source {self.kind!r} that this version does not "
                "support; update this software to load it."
            ) from None
        network = builder(self, seed)
        if hasattr(network, "transform_input"):
            setattr(network, "transform_input", self.transform_input)  # noqa: B010 - for mypy
        return network


def _from_zoo(source: Source, seed: int) -> nn.Module:
    return build(source.name, source.shape, source.classes, seed)


def _from_collection(source: Source, seed: int) -> nn.Module:
    return build(f"{source.kind}/{source.name}", source.shape, source.classes, seed)


def _from_onnx(source: Source, seed: int) -> nn.Module:
    network = rebuilt(source.skeleton)
    if source.classifier:
        resize(network, source.classifier, source.classes)
    return network


BUILDERS: dict[str, Callable[[Source, int], nn.Module]] = {
    "zoo": _from_zoo,
    "onnx": _from_onnx,
    **{collection.name: _from_collection for collection in COLLECTIONS},
}
"""The function that builds the networks of each kind of source."""


@dataclass(frozen=True)
class Surgery:
    """What was removed from the architecture: ``removed`` lists output channels by layer, by their
    indices in the source."""

    removed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def apply(self, network: nn.Module, shape: tuple[int, int, int]) -> nn.Module:
        """The network, built for images of ``shape`` (C, H, W), after the surgery. Raises
        ``DataError`` if it has no such channels."""
        if not self.removed:
            return network
        return replay(untie(network), self.removed, torch.zeros(1, *shape))


def save_network(
    path: str | Path,
    network: nn.Module,
    label: Mapping[str, Any],
    source: Source,
    surgery: Surgery | None = None,
) -> None:
    """Write the network's tensors, its label, and how to rebuild it. Raises ``DiskError``."""
    origin = {
        "source": source.to_dict(),
        "surgery": dataclasses.asdict(surgery or Surgery()),
    }
    save_tensors(path, network.state_dict(), {**label, **origin})


def load_network(path: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """The trained network in a file that a run wrote as ``pruned.safetensors`` or
    ``dense.safetensors``, and its label.

    Raises ``DataError`` if the file is missing or was changed.
    """
    state, metadata = load_tensors(path)
    try:
        model = _rebuild(metadata)
        model.load_state_dict(state)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _changed(path, error) from None
    return model, {key: value for key, value in metadata.items() if key not in KEYS}


def untrained(path: str | Path) -> nn.Module:
    """The network of that file with new weights; its tensors are not read. Raises as
    ``load_network`` does."""
    _, metadata = read_tensors(path, leave_out="")
    try:
        return _rebuild(metadata)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise _changed(path, error) from None


def export_again(
    folder: str | Path, network: str, path: str | Path, encoding: str = PRIMARY
) -> Proof:
    """Export the saved ``network`` ("dense" or "pruned") of the run in ``folder`` to ``path``
    with the label from its training. Raises ``DataError`` if the folder has no such network, or if
    the encoding needs images of the run and they are gone."""
    saved = Path(folder) / f"{network}.safetensors"
    if not saved.is_file():
        raise DataError(
            f"{folder} contains no trained network ({saved.name} is missing); give the folder of "
            "a finished run."
        )
    row = ENCODINGS.find(encoding)
    model, label = load_network(saved)
    masks, cut = None, label.get("kind") == CHANNELS
    if network == "pruned":
        masks = keep_all(model) if cut else Masks.load(Path(folder) / "masks.safetensors")
    template = own_template(Path(folder) / ENCODINGS[PRIMARY].file())
    traced, _ = trace_for(template, model, torch.zeros(1, *label["shape"]), masks, cut)
    images = images_of_run(folder, label) if row.calibrated else None
    return write_file(traced, path, encoding, label, images)


def _rebuild(metadata: Mapping[str, Any]) -> nn.Module:
    if "source" in metadata:
        values = metadata["source"]
        source = Source(**{**values, "shape": tuple(values["shape"])})
        removed = metadata.get("surgery", {}).get("removed", {})
        surgery = Surgery({layer: tuple(channels) for layer, channels in removed.items()})
    else:  # up to 0.3, when all networks were those of the table
        shape, classes = tuple(metadata["shape"]), len(metadata["classes"])
        transform = bool(metadata.get("transform_input"))
        source, surgery = Source.of(metadata["model"], shape, classes, transform), Surgery()
    return surgery.apply(source.build(), source.shape)


def _changed(path: str | Path, error: Exception) -> DataError:
    reason = next(iter(str(error).splitlines()), type(error).__name__)
    return DataError(f"{path} does not match its label ({reason}); run the settings again.")
