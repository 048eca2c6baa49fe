"""Files that visitors upload: checked on the server, kept in the store, and usable only by their
owner. Nothing in them is ever executed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import streamlit as st

from app import access
from app.services import store as service
from app.services.locks import OPENING
from app.services.origin import origin
from prospr_engine.config import RunConfig
from prospr_engine.data.inspect import Facts
from prospr_engine.data.preview import Preview, preview_apart
from prospr_engine.data.readers import FORMATS
from prospr_engine.data.readers.opening import format_of_upload
from prospr_engine.errors import ConfigError, ResourceError
from prospr_engine.format import GIGA, either
from prospr_engine.guard import limits as bounds
from prospr_engine.identity import file_options, file_settings
from prospr_engine.io.tokens import clean_name, digest_in, display_name, is_token, locate, token
from prospr_engine.models.imports.header import read_header
from prospr_engine.models.imports.network_file import NetworkFile, describe
from prospr_engine.models.imports.numbers import check_numbers
from prospr_engine.models.imports.recognise import Recognised, recognise, sentence
from prospr_engine.models.imports.state_dict import convert, is_state_file
from prospr_engine.store.records import Upload
from prospr_engine.store.uploads import Part

Kind = Literal["images", "weights", "network"]

KINDS: tuple[Kind, ...] = get_args(Kind)
SETTINGS: dict[str, Kind] = {"data": "images", "weights": "weights", "model": "network"}
"""The kind of file that a setting may name."""
SHARE = bounds.UPLOADS_SHARE.value
SPARE = bounds.DISK_SPARE.value


@dataclass(frozen=True)
class Contents:
    """The contents of a file of weights: the number of tensors and of values, the model it was
    written for ("" if unknown), the entry of a training program's file that they were taken from
    ("" if none), and the networks that have such tensors."""

    tensors: int
    numbers: int
    model: str
    taken_from: str
    recognised: tuple[Recognised, ...]

    @property
    def recognised_as(self) -> str:
        """A sentence on the networks, "" if there is none."""
        return sentence(self.recognised) if self.recognised else ""


def add(owner: str, kind: Kind, name: str, content: bytes | memoryview) -> Upload:
    """Check a file and store it for its owner.

    Raises ``EngineError`` if it is too large, exceeds the owner's quota, is not what it should be,
    or is malicious. A rejected file leaves nothing on the disk.
    """
    called = clean_name(name)
    uploads, limits = service.current().uploads, service.current().limits
    # Before anything is written.
    access.check_upload(called, len(content), limits)
    _check_room(called, len(content))
    with uploads.receive(content) as received, _ready(kind, received, called) as part:
        kept = [upload for each in KINDS for upload in uploads.of(owner, each)]
        access.check_quota(token(part.digest, called), part.bytes, kept, limits)
        CHECKS[kind](part.digest, called, part.path)
        suffix = _suffix(kind, part.path, called)
        ending = "" if called.lower().endswith(suffix) else suffix
        kept_name = clean_name(called + ending)
        return uploads.keep(part, owner, kind, kept_name, suffix, origin())


def _ready(kind: Kind, part: Part, called: str) -> AbstractContextManager[Part]:
    """The file to keep: the one received, or the safetensors file that a PyTorch file becomes."""
    if kind == "weights" and is_state_file(part.path):
        return service.current().uploads.rewritten(lambda to: convert(part.path, called, to))
    return nullcontext(part)


def formats() -> str:
    """The formats in which images can be uploaded, worded to follow "give": "a zip"."""
    return either(spec.noun for spec in FORMATS.values() if spec.uploads)


def path_formats() -> str:
    """The formats of images at a path of this machine: "a folder or a zip"."""
    return either(dict.fromkeys(spec.noun for spec in FORMATS.values()))


def without_suffix(name: str) -> str:
    """The name of a file of images without the suffix of its format."""
    suffixes = (suffix for spec in FORMATS.values() for suffix in spec.suffixes)
    found = next((suffix for suffix in suffixes if name.lower().endswith(suffix)), "")
    return name[: len(name) - len(found)]


def _suffix(kind: Kind, path: Path, called: str) -> str:
    """The suffix of such a file."""
    if kind != "images":
        options = file_options(RunConfig)
        return next(options[name].files[0] for name, own in SETTINGS.items() if own == kind)
    suffixes = format_of_upload(path, called).suffixes
    return next((one for one in suffixes if called.lower().endswith(one)), suffixes[0])


def most_megabytes() -> int:
    """The largest file that can be uploaded, in megabytes."""
    return int(service.current().limits.upload_megabytes)


def mine(owner: str, kind: Kind) -> list[Upload]:
    """The visitor's uploads of a kind, newest first."""
    return service.current().uploads.of(owner, kind)


def find(owner: str, named: str, kind: Kind) -> Upload:
    """The visitor's upload with that token; raises ``ConfigError`` if it is not theirs."""
    upload = service.current().uploads.find(owner, named)
    if upload is None or upload.kind != kind:
        raise ConfigError(
            f"{display_name(named)} is not one of your uploads: it was removed, or belongs to "
            "somebody else. Upload it again, or choose something else."
        )
    return upload


def remove(owner: str, token: str) -> None:
    """Delete an upload. Raises ``StoreError`` if a live run needs it."""
    service.current().uploads.remove(owner, token)


def look(upload: Upload) -> Preview:
    """A preview of the images of an upload. Raises ``EngineError`` if they are gone."""
    return _preview(upload.digest, upload.name, upload.path)


def facts(named: str) -> Facts:
    """A description of the images behind a token that was checked (by ``find`` or
    ``check_tokens``). Cached after ``look``. Raises ``EngineError`` if they are gone."""
    path = locate(named, service.current().uploads.folder)
    return _preview(digest_in(named), display_name(named), path).facts


def contents(upload: Upload) -> Contents:
    """The contents of an upload of weights. Raises ``EngineError`` if they are gone."""
    return _contents(upload.digest, upload.name, upload.path)


def match(upload: Upload, model: str, shape: tuple[int, int, int], classes: int) -> tuple[str, ...]:
    """Notes on how an upload of weights fits ``model`` for images of ``shape`` (C, H, W). Raises
    ``ModelError`` if it does not. Imports torch."""
    return _match(upload.digest, upload.name, upload.path, model, shape, classes)


def network(upload: Upload) -> NetworkFile:
    """The network of an upload. Raises ``EngineError`` if it is gone."""
    return _network(upload.digest, upload.name, upload.path)


def network_at(path: str) -> NetworkFile:
    """The network in a file of this machine, which the visitor may use (``access.check_path``).
    Raises ``EngineError`` if it cannot be used."""
    return describe(path)


def check_tokens(config: RunConfig, owner: str) -> None:
    """Raise ``ConfigError`` if the settings name a file that is not the visitor's own upload."""
    options = file_options(RunConfig)
    for name, named in file_settings(config).items():
        kind = SETTINGS.get(name)
        if is_token(named) and kind:
            find(owner, named, kind)
        else:
            access.check_path(name, named, options[name].known)


def _check_room(name: str, size: int) -> None:
    store = service.current()
    free = shutil.disk_usage(store.folder).free
    room = SHARE * store.limits.keep_gigabytes * GIGA - _bytes_of_all(store.uploads.folder)
    if size > min(room, free - SPARE):
        raise ResourceError(
            f"The server has no room left for {name}. Try a smaller file, or come back later."
        )


def _bytes_of_all(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        with suppress(OSError):  # removed meanwhile
            total += path.stat().st_size
    return total


# The digest identifies the content, wherever the file is.
@st.cache_data(max_entries=32, show_spinner=False)
def _preview(digest: str, name: str, _path: Path) -> Preview:
    with OPENING:
        return preview_apart(_path, name)


@st.cache_data(max_entries=128, show_spinner=False)
def _contents(digest: str, name: str, _path: Path) -> Contents:
    header = read_header(_path, name)
    check_numbers(_path, header, name)
    return Contents(
        tensors=len(header.tensors),
        numbers=sum(info.numbers for info in header.tensors.values()),
        model=str(header.label.get("model", "")),
        taken_from=str(header.label.get("taken_from", "")),
        recognised=recognise(header.tensors),
    )


@st.cache_data(max_entries=128, show_spinner=False)
def _network(digest: str, name: str, _path: Path) -> NetworkFile:
    return describe(str(_path), name)


CHECKS: dict[Kind, Callable[[str, str, Path], object]] = {
    "images": _preview,
    "weights": _contents,
    "network": _network,
}
"""What opens an upload of each kind, by its digest, name and path; raises what is wrong with it."""


@st.cache_data(max_entries=128, show_spinner=False)
def _match(
    digest: str, name: str, _path: Path, model: str, shape: tuple[int, int, int], classes: int
) -> tuple[str, ...]:
    from prospr_engine.models.imports.weights import Wanted, fit
    from prospr_engine.models.outline import outline

    wanted = Wanted(model, outline(model, shape, classes), shape, classes)
    return fit(wanted, read_header(_path, name), name).notes
