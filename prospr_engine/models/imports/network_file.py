"""A network in a user's ONNX file: tried in a process with limits before it is opened here.

Importing this module imports neither torch nor onnx.
"""

from __future__ import annotations

import base64
import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

from prospr_engine.errors import ModelError
from prospr_engine.format import counted, megabytes
from prospr_engine.guard import limits, sandbox
from prospr_engine.io.file_type import WORDS, kind_of
from prospr_engine.io.files import digest_of
from prospr_engine.io.tokens import display_name, locate
from prospr_engine.models.imports.refusals import check_kind

if TYPE_CHECKING:
    from torch import nn

    from prospr_engine.models.imports.onnx.imported import Imported

EXPORT = 'torch.onnx.export(model.eval(), images, "model.onnx", dynamo=True, external_data=False)'
STATES = ("torch", "safetensors")
"""Kinds of files with weights alone."""
IMPORTER = "prospr_engine.models.imports.onnx.load"
TRIAL = "prospr_engine.models.imports.trial:try_file"


@dataclass(frozen=True)
class NetworkFile:
    """What a network's ONNX file says. ``shape`` is that of one image (C, H, W), None where the
    file leaves it open, and ``batch`` how many images it takes at a time, None for any number.
    ``output`` is what the file answers: "logits", "softmax" or "log_softmax". ``skeleton`` has the
    graph without its weights, as text."""

    name: str
    shape: tuple[int | None, int | None, int | None]
    batch: int | None
    channels_last: bool
    classes: int
    output: str
    notes: tuple[str, ...]
    parameters: int
    weights: int
    """How many of them can be pruned."""
    classifier: Mapping[str, int]
    """The axis of the classes in each parameter that makes class scores, by name: see
    ``models.classifier``."""
    skeleton: str
    label: Mapping[str, Any]
    """What one of our own files says of its images: ``preprocessing`` and ``classes``."""

    def taken(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """``shape`` (C, H, W), with what the file fixes in place of it."""
        channels, height, width = (
            own or given for own, given in zip(self.shape, shape, strict=True)
        )
        return channels, height, width


def check_file(file: str, called: str = "") -> Path:
    """The place of the ONNX file at a path or token, judged by its first bytes; ``called`` is its
    name in messages, if that is another. Raises ``ModelError`` if it is another file,
    ``ConfigError`` if an upload is gone."""
    path, name = locate(file).expanduser(), called or display_name(file)
    try:
        if path.is_dir():
            raise ModelError(f"{name} is a folder; give the path of an ONNX file.")
        if not path.is_file():
            raise ModelError(f"There is no file {name}. Check its path.")
        size = path.stat().st_size
        with path.open("rb") as opened:
            kind = kind_of(opened)
    except OSError as error:
        raise ModelError(f"{name} cannot be read ({error.strerror}). Check its path.") from None
    # Damaged files may look like anything: the trial says more of those that are called so.
    damaged = kind in ("unknown", "text") and name.lower().endswith(".onnx")
    check_kind(kind, name)
    if kind in STATES:
        raise ModelError(
            f"{name} is {WORDS[kind]}, not an ONNX file. If it has a network's weights, choose the "
            "network by its name (--model) and give this file as its weights (--weights). If it is "
            f"a pickled network, load it where you trust it, and write ONNX by {EXPORT}."
        )
    if kind != "onnx" and not damaged:
        raise ModelError(
            f"{name} is {WORDS[kind]}; a network is given as an ONNX file. PyTorch writes one "
            f"by {EXPORT}."
        )
    if size > limits.IMPORTED_BYTES.value:
        raise ModelError(
            f"{name} has {megabytes(size)}; an ONNX file may have at most "
            f"{megabytes(limits.IMPORTED_BYTES.value)}. Give a smaller network."
        )
    return path


def describe(file: str, called: str = "") -> NetworkFile:
    """What is in the ONNX file at a path or token, after it was imported and run once in a process
    with limits; ``called`` is its name in messages, if that is another. A file that passed is not
    tried again. Raises ``ModelError`` if it is refused, ``ResourceError`` if it takes too much
    memory or time."""
    path = check_file(file, called)
    return _tried(digest_of(path), called or display_name(file), path)


def import_onnx(path: str | Path) -> nn.Module:
    """The network in the ONNX file at ``path`` with its weights, as a module of PyTorch: on the
    CPU, in float32 and in train mode, for images (N, C, H, W) whatever the file's own layout, with
    logits (N, classes). Every weight can be trained and pruned.

    The file is tried in another process first. Raises ``ModelError`` if it is refused, or cannot be
    imported; ``ResourceError`` if it takes too much memory or time.
    """
    return load(str(path)).network


def load(file: str) -> Imported:
    """The network in that file, imported. Raises as ``describe`` does."""
    # Seconds of work that need not wait for the trial, which is in another process.
    importing = Thread(target=importlib.import_module, args=(IMPORTER,))
    importing.start()
    try:
        describe(file)
    finally:
        importing.join()
    from prospr_engine.guard.onnx_model import check
    from prospr_engine.models.imports.onnx.load import import_network

    name = display_name(file)
    return import_network(check(check_file(file).read_bytes(), name), name)


def build(
    file: str, shape: tuple[int, int, int], classes: int, pretrained: bool
) -> tuple[nn.Module, tuple[str, ...]]:
    """The network in that file for images of ``shape`` (C, H, W), with the weights in it if
    ``pretrained``, and new ones drawn from the global random state if not; and notes for the user
    on how it was imported. Raises ``ModelError`` if
    it does not fit the images, and as ``describe`` does."""
    from prospr_engine.models.classifier import replaced
    from prospr_engine.models.imports.fresh import redraw

    found = describe(file)
    check_fit(found, shape, classes)
    network = load(file).network
    if not pretrained:
        redraw(network)
    if found.classes == classes:
        return network, found.notes
    resize(network, found.classifier, classes)
    return network, (*found.notes, replaced(found.classes, classes, pretrained))


def outline(file: str, shape: tuple[int, int, int], classes: int) -> nn.Module:
    """The same without weights, on the meta device."""
    from prospr_engine.network.meta import meta_copy

    found = describe(file)
    check_fit(found, shape, classes)
    network = meta_copy(rebuilt(found.skeleton))
    if found.classes != classes:
        resize(network, found.classifier, classes)
    return network


def check_fit(network: NetworkFile, shape: tuple[int, int, int], classes: int) -> None:
    """Raise ``ModelError`` if the network takes other images than those of ``shape`` (C, H, W), or
    cannot tell apart that many classes."""
    channels, *sides = network.shape
    name = network.name
    if channels and channels != shape[0]:
        read = {1: "read them as grey", 3: "read them in colour"}.get(channels)
        raise ModelError(
            f"{name} takes images with {counted(channels, 'channel')}, the data have "
            f"{counted(shape[0], 'channel')}; {read or 'give a network for such images'}."
        )
    if any(own and own != side for own, side in zip(sides, shape[1:], strict=True)):
        height, width = (own or side for own, side in zip(sides, shape[1:], strict=True))
        what = f"set the image size to {height}"
        if height != width:
            what = "export it for square images"
        raise ModelError(
            f"{name} takes images of {height}×{width} px, the data have {shape[1]}×{shape[2]} px; "
            f"{what}."
        )
    if network.classes != classes and not network.classifier:
        raise ModelError(
            f"{name} has {network.classes:,} classes, the data have {classes:,}, and no single "
            f"layer makes its class scores, so none can be replaced. Export it with {classes:,} "
            f"outputs, or give data with {network.classes:,} classes."
        )


def resize(network: nn.Module, classifier: Mapping[str, int], classes: int) -> None:
    """Give the ``classifier`` of the network that many ``classes``, with new weights."""
    from prospr_engine.models.classifier import resize_classifier

    resize_classifier(network, classifier, classes)


def rebuilt(skeleton: str) -> nn.Module:
    """The network of ``NetworkFile.skeleton``; its weights are those of no network."""
    from prospr_engine.models.imports.onnx.load import rebuild

    return rebuild(base64.b64decode(skeleton))


# By content: a path may get another one.
@functools.lru_cache(maxsize=16)
def _tried(digest: str, name: str, path: Path) -> NetworkFile:
    found: dict[str, Any] = sandbox.call(
        TRIAL,
        {"path": str(path), "name": name},
        name,
        limits.IMPORT_MEMORY.value,
        limits.IMPORT_SECONDS.value,
    )
    channels, height, width = found["shape"]
    return NetworkFile(
        **{**found, "shape": (channels, height, width), "notes": tuple(found["notes"])},
    )
