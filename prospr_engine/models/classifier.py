"""The part of a network that makes the class scores: found by what its weights do, not by name, and
given another number of classes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prospr_engine.errors import ModelError
from prospr_engine.network.foreign import explained, own_copy, set_mode
from prospr_engine.network.seeding import seeded

TRIED = 6
"""Classes whose scores are followed back; more say nothing new."""
IMAGES = 4

Classifier = Mapping[str, int]
"""The axis of the classes in each parameter that makes class scores, by the parameter's name."""


def find_classifier(network: nn.Module, shape: tuple[int, int, int]) -> dict[str, int]:
    """The parameters that make the class scores: the score of one class depends on its own slice of
    them, and on no other. Follows the scores of random images of ``shape`` (C, H, W) back; the
    network comes back untouched. Empty if there are none, as behind a softmax.

    Raises ``ModelError`` if the network cannot take such images.
    """
    trial = own_copy(network).to("cpu")
    set_mode(trial, False)
    with seeded(0), torch.enable_grad():
        x = torch.randn(IMAGES, *shape)
        with explained(trial, f"The network cannot take images of shape {shape}", x):
            scores = trial(x)
        parameters = {n: p for n, p in trial.named_parameters() if p.requires_grad}
        classes = scores.shape[1]
        found = {
            name: {axis for axis, size in enumerate(p.shape) if size == classes}
            for name, p in parameters.items()
        }
        candidates = {name: parameters[name] for name, axes in found.items() if axes}
        reached: set[str] = set()
        for one in sorted({round(i * (classes - 1) / (TRIED - 1)) for i in range(TRIED)}):
            slopes = torch.autograd.grad(
                scores[:, one].sum(), [*candidates.values()], retain_graph=True, allow_unused=True
            )
            for name, slope in zip(candidates, slopes, strict=True):
                if slope is None or not bool(slope.any()):
                    continue
                reached.add(name)
                found[name] = {axis for axis in found[name] if _confined(slope, axis, one)}
    return {name: min(axes) for name, axes in found.items() if axes and name in reached}


def _confined(slope: Tensor, axis: int, one: int) -> bool:
    """Whether only the slice ``one`` along ``axis`` is not zero."""
    others = torch.ones(slope.shape[axis], dtype=torch.bool)
    others[one] = False
    return not bool(slope.index_select(axis, others.nonzero().flatten()).any())


def resize_classifier(network: nn.Module, classifier: Classifier, classes: int) -> None:
    """Give the parameters of the ``classifier`` that many ``classes``, with new values: weights
    are drawn from the global random state as the zoo draws them (He et al. 2015), biases are zero.
    The network may be on the meta device."""
    for name, axis in classifier.items():
        path, _, own = name.rpartition(".")
        layer = network.get_submodule(path)
        old: Tensor = getattr(layer, own)
        shape = [classes if place == axis else size for place, size in enumerate(old.shape)]
        new = old.detach().new_zeros(shape)
        if new.ndim > 1:
            new.normal_(0.0, math.sqrt(2.0 * classes / max(1, new.numel())))
        elif isinstance(layer, _NormBase) and own == "weight":
            new.fill_(1.0)
        setattr(layer, own, nn.Parameter(new, requires_grad=old.requires_grad))
        if isinstance(layer, nn.Linear):
            layer.out_features = classes
        elif isinstance(layer, nn.Conv1d | nn.Conv2d):
            layer.out_channels = classes
        elif isinstance(layer, _NormBase):
            layer.num_features = classes
            layer.register_buffer("running_mean", new.detach().new_zeros(classes))
            layer.register_buffer("running_var", new.detach().new_ones(classes))


def replace_classifier(
    network: nn.Module, shape: tuple[int, int, int], classes: int, name: str
) -> dict[str, int]:
    """Give the network, called ``name``, that many ``classes``, and return what was replaced; empty
    if it has that many. Draws from the global random state.

    Raises ``ModelError`` if no part of it makes the class scores, or if it fixes their number.
    """
    had = _classes(network, shape)
    if had == classes:
        return {}
    found = find_classifier(network, shape)
    advice = f"Export it again with {classes:,} outputs, or give data with {had:,} classes."
    if not any(len(network.get_parameter(own).shape) > 1 for own in found):
        raise ModelError(
            f"{name} has {had:,} classes, the data have {classes:,}, and no single layer makes its "
            f"class scores, so none could be replaced. {advice}"
        )
    resize_classifier(network, found, classes)
    try:
        now = _classes(network, shape)
    except ModelError:
        now = had
    if now != classes:
        raise ModelError(
            f"{name} has {had:,} classes, the data have {classes:,}, and it fixes their number "
            f"beyond the layer that makes the scores. {advice}"
        )
    return found


def _classes(network: nn.Module, shape: tuple[int, int, int]) -> int:
    trial = own_copy(network)
    set_mode(trial, False)
    x = torch.zeros(2, *shape)
    with torch.no_grad(), explained(trial, f"The network cannot take images of shape {shape}", x):
        return int(trial(x).shape[1])
