"""Try a user's ONNX file: checked, imported, and run on one image. Made to be called in a
``guard.sandbox``."""

from __future__ import annotations

import base64
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from prospr_engine.errors import ModelError
from prospr_engine.format import megabytes
from prospr_engine.guard import limits
from prospr_engine.guard.onnx_model import check
from prospr_engine.models.classifier import find_classifier
from prospr_engine.models.imports.onnx.imported import Imported
from prospr_engine.models.imports.onnx.load import import_network
from prospr_engine.network.foreign import first_line, learned_names
from prospr_engine.network.meta import meta_copy
from prospr_engine.network.prunable import prunable_weights

SIDES = (224, 64, 32, 28, 8, 128, 299, 512)
"""Sides of images that are tried where the file leaves them open."""
CHANNELS = 3
LABEL = {f"prospr.{name}": name for name in ("preprocessing", "classes")}
"""What the metadata of our own files are called (``export.names.PREFIX``)."""
MOST_LABEL = 100_000
"""Characters of a label that are read."""


def try_file(path: str, name: str) -> dict[str, Any]:
    """The fields of ``network_file.NetworkFile`` for the ONNX file at ``path``. Raises
    ``ModelError``."""
    model = check(Path(path).read_bytes(), name)
    imported = import_network(model, name)
    network = imported.network
    _check_numbers(network, name)
    shape = _check_answer(imported, name)
    return {
        "name": name,
        "shape": list(imported.shape),
        "batch": imported.batch,
        "channels_last": imported.channels_last,
        "classes": imported.classes,
        "output": imported.output,
        "notes": list(imported.notes),
        "parameters": sum(p.numel() for p in network.parameters()),
        "weights": sum(math.prod(p.shape) for p in prunable_weights(network).values()),
        "classifier": _classifier(network, shape),
        "skeleton": base64.b64encode(imported.skeleton).decode(),
        "label": _label(model),
    }


def _check_numbers(network: nn.Module, name: str) -> None:
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    broken = [own for own in learned_names(network) if not tensors[own].isfinite().all()]
    if broken:
        raise ModelError(
            f"{name} contains NaN or infinite weights ({sorted(broken)[0]}), as when training "
            "diverges. Export the network again, from an earlier state."
        )


def _classifier(network: nn.Module, shape: tuple[int, int, int]) -> dict[str, int]:
    """What makes the class scores; empty if that cannot be replaced."""
    try:
        return find_classifier(network, shape)
    except ModelError:
        return {}


def _label(model: onnx.ModelProto) -> dict[str, Any]:
    """What one of our own files says of its images; {} for others."""
    found = {}
    for prop in model.metadata_props:
        if prop.key in LABEL and len(prop.value) <= MOST_LABEL:
            with suppress(ValueError):
                found[LABEL[prop.key]] = json.loads(prop.value)
    return found


def _check_answer(imported: Imported, name: str) -> tuple[int, int, int]:
    """Run the network once, after it is known how large every result is; returns the shape of the
    image."""
    network = imported.network.eval()
    shadow = meta_copy(network)
    reason = ""
    for shape in _shapes(imported.shape):
        try:
            with torch.no_grad(), _Bounded(name):
                shadow(torch.empty(2, *shape, device="meta"))
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a forward may raise
            reason = reason or first_line(error)
            continue
        with torch.no_grad():
            answer = network(torch.zeros(2, *shape))
        if tuple(answer.shape) != (2, imported.classes):
            raise ModelError(
                f"{name} answers with numbers of shape {tuple(answer.shape)} for two images, not "
                "with a row of class scores for each. Export a network that classifies images."
            )
        if not answer.isfinite().all():
            raise ModelError(
                f"{name} answers with NaN or infinite numbers to a black image. Its weights may be "
                "broken: export the network again."
            )
        return shape
    raise ModelError(f"{name} cannot be run on an image ({reason}). Export the network again.")


def _shapes(shape: tuple[int | None, ...]) -> Iterator[tuple[int, int, int]]:
    """Shapes of images to try, with what the file leaves open filled in."""
    channels, height, width = shape
    tried = SIDES if height is None or width is None else SIDES[:1]
    for side, depth in itertools.product(tried, (channels,) if channels else (CHANNELS, 1)):
        yield depth, height or side, width or side


class _Bounded(TorchDispatchMode):
    """Refuses results of operators that would take too much memory; on the meta device none do."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        results = func(*args, **(kwargs or {}))
        for result in results if isinstance(results, tuple | list) else [results]:
            if isinstance(result, Tensor):
                size = result.numel() * result.element_size()
                if size > 2 * limits.IMPORTED_RESULT.value:  # two images
                    raise ModelError(
                        f"{self.name} computes a result of {megabytes(size / 2)} for one image; "
                        f"at most {megabytes(limits.IMPORTED_RESULT.value)} are allowed. Give a "
                        "smaller network, or one for smaller images."
                    )
        return results
