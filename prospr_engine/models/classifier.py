"""The part of a network that makes the class scores: found by what depends on the classes, not by
name, and given another number of them.

A network of the tables can be built for any number of classes, so its classifier is what then has
another shape (``class_axes``, which needs no weights). One that exists only as the graph in a file
is followed back from its scores (``find_classifier``). Weights that timm publishes are an
exception: timm leaves out their classifier itself, before it loads them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from prospr_engine.format import counted
from prospr_engine.network.foreign import explained, own_copy, set_mode
from prospr_engine.network.meta import meta_copy
from prospr_engine.network.seeding import seeded

TRIED = 6
"""Classes whose scores are followed back; more say nothing new."""
IMAGES = 4

Classifier = Mapping[str, int]
"""The axis of the classes in each parameter that makes class scores, by the parameter's name."""


def class_axes(network: nn.Module, other: nn.Module) -> dict[str, int]:
    """The parameters of ``network`` whose shape is another one in ``other``, the same network built
    for another number of classes. Both may be on the meta device."""
    others = dict(other.named_parameters())
    return {
        name: axis
        for name, own in network.named_parameters()
        if name in others and own.ndim == others[name].ndim
        for axis in range(own.ndim)
        if own.shape[axis] != others[name].shape[axis]
    }


def find_classifier(network: nn.Module, shape: tuple[int, int, int]) -> dict[str, int]:
    """The parameters that make the class scores: the score of one class depends on its own slice of
    them, and on no other. Follows the scores of random images of ``shape`` (C, H, W) back; the
    network comes back untouched. Empty if there are none, as behind a softmax, or if the network
    fixes the number of classes beyond them, so that they cannot be replaced.

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
    made = {name: min(axes) for name, axes in found.items() if axes and name in reached}
    several = any(parameters[name].ndim > 1 for name in made)
    return made if several and _takes(trial, made, shape, classes + 1) else {}


def _takes(
    network: nn.Module, classifier: Classifier, shape: tuple[int, int, int], classes: int
) -> bool:
    """Whether the network works with that many classes."""
    shadow = meta_copy(network)
    resize_classifier(shadow, classifier, classes)
    try:
        with torch.no_grad():
            scores = shadow(torch.empty(2, *shape, device="meta"))
    except Exception:  # noqa: BLE001 - whatever a forward may raise
        return False
    return tuple(scores.shape) == (2, classes)


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


def replaced(had: int, classes: int, given: bool) -> str:
    """What to tell the user about a new classifier. ``given``: the other weights are not new."""
    classes_had = counted(had, "class", "classes")
    if given:
        return (
            f"The weights are for {classes_had} and the data have {classes:,}: the classifier is "
            "new, everything else was loaded."
        )
    return (
        f"The network is for {classes_had} and the data have {classes:,}: its classifier was "
        f"replaced by one for {counted(classes, 'class', 'classes')}."
    )
