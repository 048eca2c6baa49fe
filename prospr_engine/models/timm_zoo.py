"""Every classification network of timm, adapted to image size, channels and classes."""

from __future__ import annotations

import functools
from typing import Any

import timm
import torch
from timm.models import (
    get_pretrained_cfg,
    is_model,
    list_pretrained,
    model_entrypoint,
    split_model_name_tag,
)
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from prospr_engine.errors import EngineError, ModelError
from prospr_engine.models.hub import fetch_weights
from prospr_engine.models.spec import ModelSpec, Published
from prospr_engine.network.device import is_out_of_memory
from prospr_engine.network.foreign import first_line
from prospr_engine.network.meta import meta_copy

PREFIX = "timm/"
IMAGENET_SIZE = 224


def names() -> list[str]:
    """All architectures, without those that were renamed."""
    found: list[str] = timm.list_models()
    return found


def usual_size(name: str) -> int:
    """The side of images that the network is published for."""
    published = get_pretrained_cfg(name)
    return int(published.input_size[-1]) if published else IMAGENET_SIZE


@functools.cache
def spec(name: str) -> ModelSpec:
    """The row of network ``name``, which may end in the tag of published weights, as
    ``resnet10t.c3_in1k`` does; raises ``KeyError`` if timm has none."""
    architecture, tag = split_model_name_tag(name)
    if not is_model(architecture) or (tag and name not in list_pretrained()):
        raise KeyError(name)
    published = get_pretrained_cfg(name)
    return ModelSpec(
        name=PREFIX + name,
        label=f"{name} (timm)",
        description="The network of the library timm.",
        target=f"{model_entrypoint(architecture).__module__}:{architecture}",
        lr=0.01,
        pretrained=bool(published and published.hf_hub_id),
    )


def published(name: str) -> Published:
    """What timm says of its weights for the network ``name``, which has some."""
    found = get_pretrained_cfg(name)
    assert found is not None, "without it there are no weights"
    mean, std = (tuple(map(float, values)) for values in (found.mean, found.std))
    return Published(found.num_classes, found.input_size[0], mean, std)


def build(
    name: str, shape: tuple[int, int, int], classes: int, pretrained: bool = False
) -> nn.Module:
    """The network ``name`` for images of ``shape`` (C, H, W). Draws from the global random state.

    Published weights are read as safetensors only. Raises ``ModelError`` if the image size does
    not fit, or if weights cannot be downloaded.
    """
    options: dict[str, Any] = {"in_chans": shape[0], "num_classes": classes}
    published = get_pretrained_cfg(name)
    if published and published.fixed_input_size:
        options["img_size"] = shape[1:]
    if pretrained:
        repository = published.hf_hub_id if published else None
        file = fetch_weights(PREFIX + name, repository)
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"file": str(file)}}
    try:
        network: nn.Module = timm.create_model(name, **options)
        if "img_size" in options:
            # Some only notice there that their patches do not fit.
            with torch.no_grad():
                meta_copy(network).eval()(torch.empty(1, *shape, device="meta"))
    except EngineError:
        raise
    except Exception as error:  # whatever its builders may raise
        if is_out_of_memory(error):
            raise
        raise ModelError(_why(name, shape, published, error)) from error
    if not pretrained:
        _open_branches(network)
    return network


def _why(name: str, shape: tuple[int, int, int], published: Any, error: Exception) -> str:
    size = "×".join(map(str, shape))
    own = published.input_size[-1] if published else 0
    remedy = f"set the image size to {own}" if own and own != shape[1] else "choose another network"
    return f"{PREFIX}{name} cannot be built for images of {size} ({first_line(error)}); {remedy}."


def _open_branches(network: nn.Module) -> None:
    """Let no residual branch begin with a scale of zero, as timm's do: nothing behind it would get
    a gradient, and a criterion would find every weight there useless. The scale may be that of a
    batch norm, of each filter of a convolution (C, 1, 1, 1), or a single number (SkipInit)."""
    norms = [m.weight for m in network.modules() if isinstance(m, _NormBase)]
    gains = [p for p in network.parameters() if p.ndim != 1 and p.numel() == [*p.shape, 1][0]]
    with torch.no_grad():
        for scale in (*norms, *gains):
            if scale is not None and not scale.is_meta and not bool(scale.any()):
                scale.fill_(1.0)
