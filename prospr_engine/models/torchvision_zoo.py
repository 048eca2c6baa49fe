"""Every classification network of torchvision, adapted to image size, channels and classes."""

from __future__ import annotations

import errno
import functools
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from urllib.parse import urlparse

import torch
import torchvision
from torch import nn
from torchvision.models.googlenet import GoogLeNet
from torchvision.models.inception import Inception3

from prospr_engine.errors import ModelError
from prospr_engine.io.files import disk_error
from prospr_engine.models.adapt import spread
from prospr_engine.models.classifier import class_axes, resize_classifier
from prospr_engine.models.spec import TORCHVISION, ModelSpec, Published
from prospr_engine.models.zoo.init import he_init
from prospr_engine.network.device import is_out_of_memory
from prospr_engine.network.meta import on_meta

MAXVIT_STRIDE = 32
IMAGENET_SIZE = 224
# What torchvision's _transform_input multiplies the channels by (googlenet, inception_v3).
INPUT_SCALES = (0.229 / 0.5, 0.224 / 0.5, 0.225 / 0.5)


def names() -> list[str]:
    """All classification builders, without quantised and video ones, which cannot be trained."""
    return torchvision.models.list_models(module=torchvision.models)


def usual_size(name: str) -> int:
    """The side of images that the network is built for if nothing else is asked for."""
    return IMAGENET_SIZE


@functools.cache
def spec(name: str) -> ModelSpec:
    """The row of builder ``name``; raises ``KeyError`` if torchvision has none."""
    if name not in names():
        raise KeyError(name)
    builder = torchvision.models.get_model_builder(name)
    paper = re.search(r"<(https?://[^>\s]+)>", builder.__doc__ or "")
    weights = torchvision.models.get_model_weights(name)
    published = weights.DEFAULT if len(weights) else None
    return ModelSpec(
        name=TORCHVISION + name,
        label=f"{name} (torchvision)",
        description="Torchvision's network as published for ImageNet.",
        target=f"torchvision.models:{name}",
        paper=paper.group(1) if paper else "",
        min_image_size=_min_image_size(name, published),
        lr=0.01,
        parameters=published.meta["num_params"] if published else 0,
        pretrained=published is not None,
    )


def published(name: str) -> Published:
    """What torchvision says of its weights for the network ``name``, which has some."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    pixels = weights.transforms()
    mean, std = tuple(map(float, pixels.mean)), tuple(map(float, pixels.std))
    return Published(len(weights.meta["categories"]), len(mean), mean, std)


def _min_image_size(name: str, published: Any) -> int:
    if name.startswith("vit_"):
        return _patch_size(name)
    if name == "maxvit_t":
        return MAXVIT_STRIDE
    # For these, torchvision gives the size they were trained at; smaller ones work.
    if name.startswith("swin_"):
        return 4
    if name.startswith("efficientnet_v2"):
        return 1
    return max(published.meta["min_size"]) if published else 1


def build(
    name: str, shape: tuple[int, int, int], classes: int, pretrained: bool = False
) -> nn.Module:
    """The network ``name``, without auxiliary heads. Draws from the global random state.

    Raises ``ModelError`` if the image size does not fit or weights cannot be downloaded,
    ``ResourceError`` if the disk is full.
    """
    channels = shape[0]
    model = _pretrained(name, shape) if pretrained else _fresh(name, shape, classes)
    if pretrained:
        with on_meta():
            wanted = _fresh(name, shape, classes)
        resize_classifier(model, class_axes(model, wanted), classes)
    if channels != 3:
        _read_channels(model, channels, keep_kernels=pretrained)
    return model


def _fresh(name: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    options = _size_options(name, shape)
    if name in ("googlenet", "inception_v3"):
        # Requesting the published initialisation explicitly avoids torchvision's warning.
        options |= {"aux_logits": False, "init_weights": True}
    if name == "maxvit_t":
        return _maxvit_t(shape, classes)
    return torchvision.models.get_model(name, weights=None, num_classes=classes, **options)


def _size_options(name: str, shape: tuple[int, int, int]) -> dict[str, Any]:
    if not name.startswith("vit_"):
        return {}
    _require_multiple(name, shape, _patch_size(name))
    return {"image_size": shape[1]}


def _require_multiple(name: str, shape: tuple[int, int, int], step: int) -> None:
    height, width = shape[1:]
    if height != width or height % step:
        # Rounded up, so that no detail is lost.
        fitting = -(-max(height, width) // step) * step
        raise ModelError(
            f"{TORCHVISION}{name} divides the image into patches and needs square images with "
            f"sides that are a multiple of {step} px, not {height}×{width}; "
            f"set the image size to {fitting}."
        )


def _patch_size(name: str) -> int:
    return int(name.rsplit("_", 1)[1])


def _maxvit_t(shape: tuple[int, int, int], classes: int) -> nn.Module:
    """``maxvit_t`` with its windows scaled to the image.

    The builder fixes windows of 7×7, which fit 224 px only; the published networks scale them
    with the image (12×12 at 384 px), as timm's ``partition_ratio`` of 32 does.
    """
    from torchvision.models.maxvit import MaxVit

    _require_multiple("maxvit_t", shape, MAXVIT_STRIDE)
    return MaxVit(
        input_size=shape[1:],
        stem_channels=64,
        block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2],
        head_dim=32,
        stochastic_depth_prob=0.2,
        partition_size=shape[1] // MAXVIT_STRIDE,
        num_classes=classes,
    )


def _pretrained(name: str, shape: tuple[int, int, int]) -> nn.Module:
    published = torchvision.models.get_model_weights(name).DEFAULT
    side = published.meta["min_size"][0]
    if name == "maxvit_t" and shape[1:] != (side, side):
        raise ModelError(
            f"The pretrained weights of {TORCHVISION}{name} fit images of {side}×{side} px only; "
            f"set the image size to {side}, or use weights='fresh'."
        )
    sizes = _size_options(name, shape)
    model = _fetch(name, published)
    if isinstance(model, Inception3):
        # The builder keeps the auxiliary head of its file (googlenet's drops it).
        model.aux_logits, model.AuxLogits = False, None
    if sizes and sizes["image_size"] != side:
        return _resized_vit(name, model, sizes["image_size"])
    return model


def _fetch(name: str, published: Any) -> nn.Module:
    place = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(published.url).path).name
    try:
        # torch.hub reports downloads on standard output, which is for the result of --json.
        with redirect_stdout(sys.stderr):
            return torchvision.models.get_model(name, weights=published, progress=False)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise disk_error(place, error) from error
        reason = getattr(error, "reason", None) or error
        raise ModelError(
            f"The pretrained weights of {TORCHVISION}{name} could not be downloaded from "
            f"{published.url} ({reason}); check the network, put the file at {place} yourself, "
            "or use weights='fresh'."
        ) from error
    except (RuntimeError, UnpicklingError, EOFError, KeyError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"The pretrained weights of {TORCHVISION}{name} cannot be read from {place}; delete "
            f"the file, download it again from {published.url}, or use weights='fresh'."
        ) from error


def _resized_vit(name: str, model: nn.Module, image_size: int) -> nn.Module:
    """A vision transformer for another image size: its position embeddings are interpolated."""
    from torchvision.models.vision_transformer import interpolate_embeddings

    state = interpolate_embeddings(image_size, _patch_size(name), model.state_dict())
    resized = torchvision.models.get_model(name, weights=None, image_size=image_size)
    resized.load_state_dict(state)
    return resized


def _read_channels(model: nn.Module, channels: int, keep_kernels: bool) -> None:
    """Make the first convolution take ``channels`` channels instead of three."""
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    kernels = first.weight.detach()
    first.in_channels = channels
    if keep_kernels:
        if getattr(model, "transform_input", False):
            # Its offsets, below a fifth of the range, are left to the following batch norm.
            kernels = kernels * torch.tensor(INPUT_SCALES).view(1, 3, 1, 1)
        first.weight = nn.Parameter(spread(kernels, channels))
    else:
        size = first.out_channels, channels, *first.kernel_size
        first.weight = nn.Parameter(kernels.new_empty(size))
        he_init(first)
    if isinstance(model, GoogLeNet | Inception3):
        model.transform_input = False  # it expects three channels
