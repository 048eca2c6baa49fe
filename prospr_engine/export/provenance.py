"""The record that an exported file carries, so that it can be verified without torch.

The record is in the ONNX ``metadata_props``, one JSON value per key:

- ``prospr.format``: version of this layout; ``prospr.encoding``: a name from ``ENCODINGS``
- ``prospr.input``: shape of one input, without the batch axis
- ``prospr.layers``: name, shape, total, kept, kept weights that happen to be zero, and digests
  of the mask and of the pattern of nonzero weights; ``prospr.unused``: pruned layers that the
  network's output does not depend on, which are therefore not in the file
- ``prospr.digests``: of all weights, of the graph, and, since 0.5, of whatever else the file says
  (``rest``)
- ``prospr.references``: PyTorch's float32 logits for ``reference_input``, as base64
- ``prospr.own_graph``: where the graph is a user's own: its ``interface.Interface``. Layers then
  have a place: the ``tensor`` of the file, and the ``layout`` that makes it the network's
- ``prospr.error``: in a calibrated encoding, the largest difference from PyTorch's logits on inputs
  of calibration; its references are the file's own answers
- ``prospr.<key>``: whatever the caller adds (method, sparsity, seed, accuracy …)
- ``prospr.seal``: a digest of all the others

Digests detect accidents and careless edits. They are not a signature: someone who rewrites them
all can make any file pass.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from prospr_engine.errors import ConfigError, ExportError
from prospr_engine.export.interface import Interface, Place
from prospr_engine.export.names import PREFIX
from prospr_engine.guard import limits

FORMAT = 1
MAX_INPUT_VALUES = limits.ONNX_INPUT.value  # a forged shape must not exhaust memory
_OWN_KEYS = frozenset(
    {
        *("format", "encoding", "input", "layers", "unused", "digests", "references", "error"),
        *("own_graph", "seal"),
    }
)


@dataclass(frozen=True)
class LayerRecord:
    """What was pruned in one weight tensor. Digests are from ``bits_digest``."""

    name: str
    shape: tuple[int, ...]
    kept: int
    kept_zero: int
    mask: str
    pattern: str
    place: Place | None = None
    """Where its values are in a user's own graph; None if in the tensor called ``name``."""

    def values(self, tensors: Mapping[str, np.ndarray]) -> np.ndarray | None:
        """Its values among the ``tensors`` of the file; None if they are not there. Raises
        ``ValueError`` if they cannot have its shape."""
        found = tensors.get(self.place.tensor if self.place else self.name)
        return self.place.view(found) if self.place and found is not None else found

    @property
    def tensor(self) -> str:
        """The name of its tensor in the file."""
        return self.place.tensor if self.place else self.name

    @property
    def total(self) -> int:
        return math.prod(self.shape)

    @property
    def pruned(self) -> int:
        return self.total - self.kept

    @property
    def zeros(self) -> int:
        return self.pruned + self.kept_zero


@dataclass(frozen=True)
class Provenance:
    """The record of one export. ``references`` are float32 logits (batch, classes)."""

    encoding: str
    input_shape: tuple[int, ...]
    layers: tuple[LayerRecord, ...]
    unused: tuple[str, ...]
    digests: Mapping[str, str]
    references: tuple[np.ndarray, ...]
    metadata: Mapping[str, Any]
    error: float | None = None
    own_graph: Interface | None = None
    """What the file takes and gives, if its graph is a user's own."""

    @property
    def interface(self) -> Interface:
        """What the file takes and gives."""
        return self.own_graph or Interface()

    def to_dict(self) -> dict[str, Any]:
        """The readable part, JSON-ready: everything but digests and logits."""
        return {
            **self.metadata,
            "format": FORMAT,
            "encoding": self.encoding,
            "input": list(self.input_shape),
            **({"own_graph": dataclasses.asdict(self.own_graph)} if self.own_graph else {}),
        }


def reference_input(batch: int, shape: tuple[int, ...]) -> np.ndarray:
    """Float32 values in [-2, 2) of shape ``(batch, *shape)`` that depend on nothing else.

    Value ``i`` in C order is ``(h(i) >> 8) / 2**22 - 2`` with ``h`` the 32-bit integer hash
    "lowbias32" (C. Wellons, https://nullprogram.com/blog/2018/07/31/). Integer arithmetic and
    exact binary fractions, so every machine and library gets the same bits; not a random
    generator, because those change between versions.
    """
    h = np.arange(batch * math.prod(shape), dtype=np.uint32)
    h ^= h >> np.uint32(16)
    h *= np.uint32(0x7FEB352D)
    h ^= h >> np.uint32(15)
    h *= np.uint32(0x846CA68B)
    h ^= h >> np.uint32(16)
    values = (h >> np.uint32(8)).astype(np.float32) / np.float32(2**22) - np.float32(2)
    return values.reshape(batch, *shape)


def bits_digest(bits: np.ndarray) -> str:
    """SHA-256 of a boolean array: its shape as text, then its bits packed in C order."""
    shape = ",".join(map(str, bits.shape))
    return hashlib.sha256(f"{shape};".encode() + np.packbits(bits.ravel()).tobytes()).hexdigest()


def weights_digest(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, values in sorted(weights.items()):
        digest.update(json.dumps([name, str(values.dtype), values.shape]).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def graph_digest(model: onnx.ModelProto) -> str:
    """SHA-256 of the operators, their connections, inputs and outputs, without the weights."""
    digest = hashlib.sha256()
    for part in (*model.opset_import, *model.graph.input, *model.graph.output, *model.graph.node):
        data = part.SerializeToString(deterministic=True)
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()


def rest_digest(model: onnx.ModelProto) -> str:
    """SHA-256 of what neither ``graph_digest`` nor ``weights_digest`` nor the record covers: who
    produced the file, versions, names, descriptions, and metadata that are not ours."""
    digest = hashlib.sha256()

    def add(name: str, value: Any) -> None:
        whole = hasattr(value, "SerializeToString")
        data = value.SerializeToString(deterministic=True) if whole else repr(value).encode()
        digest.update(json.dumps([name, len(data)]).encode() + data)

    def add_fields(message: Any, but: Collection[str]) -> None:
        for field, value in message.ListFields():
            if field.name not in but:
                for each in value if field.is_repeated else [value]:
                    add(field.name, each)

    add_fields(model, {"graph", "opset_import", "metadata_props"})
    add_fields(model.graph, {"node", "initializer", "input", "output"})
    for prop in model.metadata_props:
        if not prop.key.startswith(PREFIX):
            add("metadata_props", prop)
    for tensor in model.graph.initializer:
        if tensor.doc_string or tensor.metadata_props:
            add("doc_string", tensor.doc_string)
            for prop in tensor.metadata_props:
                add("metadata_props", prop)
    return digest.hexdigest()


def unrecorded(model: onnx.ModelProto) -> list[str]:
    """What a file says that no export before 0.5 wrote: keys of other metadata, descriptions."""
    keys = [prop.key for prop in model.metadata_props if not prop.key.startswith(PREFIX)]
    graph = model.graph
    described = any(part.doc_string for part in (model, graph, *graph.initializer))
    return [*keys, *(["doc_string"] if described else [])]


def check_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The caller's ``metadata`` as it will be read back; raises ``ConfigError`` if a key is
    reserved or a value is not JSON."""
    taken = _OWN_KEYS & set(metadata)
    if taken:
        raise ConfigError(
            f"The metadata names {', '.join(sorted(taken))} are reserved; choose other names."
        )
    try:
        return json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"The metadata cannot be written as JSON ({error}); give text, finite numbers, lists "
            "and dictionaries."
        ) from None


def write(provenance: Provenance, model: onnx.ModelProto) -> None:
    """Write the record into ``model``, replacing an earlier one."""
    values = {
        **provenance.metadata,
        "format": FORMAT,
        "encoding": provenance.encoding,
        "input": list(provenance.input_shape),
        "layers": [
            {
                "name": layer.name,
                "shape": list(layer.shape),
                "total": layer.total,
                "kept": layer.kept,
                "kept_zero": layer.kept_zero,
                "mask": layer.mask,
                "pattern": layer.pattern,
                **(dataclasses.asdict(layer.place) if layer.place else {}),
            }
            for layer in provenance.layers
        ],
        "unused": list(provenance.unused),
        "digests": dict(provenance.digests),
        "references": [
            {"shape": list(logits.shape), "logits": _to_base64(logits)}
            for logits in provenance.references
        ],
    }
    if provenance.error is not None:
        values["error"] = provenance.error
    if provenance.own_graph is not None:
        values["own_graph"] = dataclasses.asdict(provenance.own_graph)
    props = {PREFIX + key: json.dumps(value) for key, value in values.items()}
    props[PREFIX + "seal"] = json.dumps(seal(props))
    others = [p for p in model.metadata_props if not p.key.startswith(PREFIX)]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    for key, value in props.items():
        model.metadata_props.add(key=key, value=value)


def seal(props: Mapping[str, str]) -> str:
    """SHA-256 of all our properties except the seal itself."""
    text = json.dumps(sorted((k, v) for k, v in props.items() if k != PREFIX + "seal"))
    return hashlib.sha256(text.encode()).hexdigest()


def read(model: onnx.ModelProto) -> tuple[Provenance, bool]:
    """The record in ``model``, and whether its seal is intact.

    Raises ``ExportError`` if there is none, if a newer engine wrote it, or if it cannot be read.
    """
    pairs = [(p.key, p.value) for p in model.metadata_props if p.key.startswith(PREFIX)]
    props = dict(pairs)
    if PREFIX + "format" not in props:
        raise ExportError(
            "The file has no record to verify it against: it was not exported by this engine, or "
            "its metadata were removed. Export the network again."
        )
    try:
        values = {key.removeprefix(PREFIX): json.loads(value) for key, value in props.items()}
        found = int(values["format"])
        if found <= FORMAT:
            intact = len(props) == len(pairs) and values["seal"] == seal(props)
            return _parse(values), intact
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        raise ExportError(
            "The file's record is damaged or was edited and cannot be read; export the network "
            "again."
        ) from None
    raise ExportError(
        f"The file was written by a newer version of this engine (format {found}; this one reads "
        f"up to {FORMAT}); update the engine to verify it."
    )


def _parse(values: Mapping[str, Any]) -> Provenance:
    shape = _shape(values["input"])
    own_graph = _interface(values["own_graph"]) if "own_graph" in values else None
    if math.prod(shape) * max((own_graph or Interface()).batches) > MAX_INPUT_VALUES:
        raise ValueError("input too large")
    references = tuple(_logits(entry) for entry in values["references"])
    if tuple(map(len, references)) != (own_graph or Interface()).batches:
        raise ValueError("wrong batch sizes")
    return Provenance(
        encoding=str(values["encoding"]),
        input_shape=shape,
        layers=tuple(
            LayerRecord(
                name=str(layer["name"]),
                shape=_shape(layer["shape"]),
                kept=int(layer["kept"]),
                kept_zero=int(layer["kept_zero"]),
                mask=str(layer["mask"]),
                pattern=str(layer["pattern"]),
                place=_place(layer) if "tensor" in layer else None,
            )
            for layer in values["layers"]
        ),
        unused=tuple(map(str, values["unused"])),
        digests={str(k): str(v) for k, v in values["digests"].items()},
        references=references,
        error=None if values.get("error") is None else float(values["error"]),
        own_graph=own_graph,
        metadata={key: value for key, value in values.items() if key not in _OWN_KEYS},
    )


def _interface(values: Mapping[str, Any]) -> Interface:
    batch = values["batch"]
    return Interface(
        input=str(values["input"]),
        output=str(values["output"]),
        batch=None if batch is None else max(1, int(batch)),
        channels_last=bool(values["channels_last"]),
        flat=bool(values["flat"]),
        answer=str(values["answer"]),
    )


def _place(layer: Mapping[str, Any]) -> Place:
    layout = tuple((str(step), _shape(numbers)) for step, numbers in layer["layout"])
    return Place(str(layer["tensor"]), layout)


def _shape(values: Iterable[Any]) -> tuple[int, ...]:
    shape = tuple(int(value) for value in values)
    if min(shape, default=0) < 0:
        raise ValueError("negative axis")
    return shape


def _to_base64(logits: np.ndarray) -> str:
    return base64.b64encode(logits.astype("<f4").tobytes()).decode()


def _logits(entry: Mapping[str, Any]) -> np.ndarray:
    data = base64.b64decode(entry["logits"], validate=True)
    batch, classes = _shape(entry["shape"])
    return np.frombuffer(data, "<f4").reshape(batch, classes)
