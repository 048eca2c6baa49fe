"""Names for the layers and weights of an imported network, from those of the file."""

from __future__ import annotations

import itertools
import re

from torch import nn

from prospr_engine.models.imports.onnx.graph import Node

_TAKEN = frozenset(dir(nn.Module()))


class Namespace:
    """Names that are given out; no two are the same, and none lies within another."""

    def __init__(self) -> None:
        self.leaves: set[str] = set()
        self.branches: set[str] = set()

    def fresh(self, wanted: str) -> str:
        """``wanted``, changed where it is taken or lies within another."""
        name = ""
        *above, last = wanted.split(".")
        for part in above:
            name = f"{name}.{part}".lstrip(".")
            while name in self.leaves:
                name += "_"
            self.branches.add(name)
        first = f"{name}.{last}".lstrip(".")
        name = next(
            each
            for each in itertools.chain([first], (f"{first}_{i}" for i in itertools.count(2)))
            if each not in self.leaves | self.branches
        )
        self.leaves.add(name)
        return name


def layer_name(node: Node, weight: str) -> str:
    """Of a layer whose weight is called ``weight`` in the file ("" if it has none).

    PyTorch's exporters keep the names of weights ("layer1.0.conv1.weight"), unless they change the
    values; then the older one leaves the place in the name of the node
    ("/layer1/layer1.0/conv1/Conv").
    """
    if weight.endswith(".weight"):
        return _clean(weight.removesuffix(".weight"))
    parts = [part for part in node.name.split("/") if part]
    if len(parts) > 1:
        kept: list[str] = []
        for part in parts[:-1]:
            if kept and part.startswith(f"{kept[-1]}."):
                kept.pop()  # "layer1.0" within "layer1"
            kept.append(part)
        return _clean(".".join(kept))
    if weight and not weight.startswith("onnx::"):
        return _clean(weight)
    return _clean(node.name or node.outputs[0])


def tensor_name(name: str) -> str:
    """Of a weight that belongs to no layer."""
    return _clean(name)


def _clean(name: str) -> str:
    parts = [re.sub(r"\W", "_", part, flags=re.ASCII) for part in re.split(r"[./]", name)]
    # Modules have methods, which a layer of the same name would hide.
    return ".".join(f"{part}_" if part in _TAKEN else part for part in parts if part) or "layer"
