"""Weights from a user's file for a network of the tables, matched by names and shapes."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.format import counted, listed
from prospr_engine.io.tokens import display_name, locate
from prospr_engine.models import MODELS
from prospr_engine.models.imports.header import Header, TensorInfo, read_header
from prospr_engine.models.imports.numbers import SHOWN, check_numbers
from prospr_engine.models.outline import outline

# Prefixes that torch.compile, DataParallel and training frameworks add to every name.
PREFIXES = ("_orig_mod.", "module.", "model.")
FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
WHOLE = frozenset({"U8", "I8", "I16", "I32", "I64"})
COUNTER = "num_batches_tracked"  # of batch norm; missing in files from before torch 0.4.1


@dataclass(frozen=True)
class Wanted:
    """The network to load weights into, and what it was built for: images of ``shape`` (C, H, W)
    and a number of classes. The model may be on the meta device."""

    name: str
    model: nn.Module
    shape: tuple[int, int, int]
    classes: int


def load_weights(wanted: Wanted, file: str) -> None:
    """Load the weights of ``file``, a path or the token of an upload, into the network.

    Half and double precision become float32. Raises ``ModelError`` if a tensor is missing,
    unexpected, of the wrong shape or not finite; the network is then unchanged.
    """
    from safetensors import SafetensorError, safe_open

    path, file_name = locate(file), display_name(file)
    header = read_header(path, file_name)
    sources = fit(wanted, header, file_name)
    check_numbers(path, header, file_name)
    state = wanted.model.state_dict()
    given: dict[str, Tensor] = {}
    try:
        with safe_open(str(path), framework="pt") as tensors:
            for name, source in sources.items():
                given[name] = _as(state[name], tensors.get_tensor(source), name, file_name)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file_name} cannot be read ({error}). Write the file again.") from None
    wanted.model.load_state_dict(state | given)
    if hasattr(wanted.model, "transform_input"):
        # Inception and GoogLeNet keep this half of their input scaling outside the weights.
        scaled: Any = header.label.get("transform_input") is True
        wanted.model.transform_input = scaled


def _as(like: Tensor, values: Tensor, name: str, file_name: str) -> Tensor:
    """``values`` in the number format of ``like``, which may be one for whole numbers."""
    if not like.is_floating_point() and bool((values != values.round()).any()):
        raise ModelError(
            f"{name} in {file_name} stores whole numbers, but not all of its values are. Give the "
            "weights as the network's state_dict has them."
        )
    return values.to(like.dtype)


def fit(wanted: Wanted, header: Header, file_name: str) -> dict[str, str]:
    """The name in the file for every tensor of the network, from names and shapes alone.

    Raises ``ModelError`` that lists what does not fit, and says what to do if the reason is
    known.
    """
    expected = wanted.model.state_dict()
    sources = _sources(header.tensors, expected, file_name)
    given = {name: header.tensors[source] for name, source in sources.items()}
    missing = [n for n in expected if n not in given and not n.endswith(COUNTER)]
    strange = [name for name in given if name not in expected]
    common = {name: info for name, info in given.items() if name in expected}
    misshapen = {n: i for n, i in common.items() if i.shape != tuple(expected[n].shape)}
    unusable = {n: i for n, i in common.items() if i.dtype not in _kinds(expected[n])}
    if missing or strange or misshapen:
        parts = [
            *([f"missing {listed(missing, SHOWN)}"] if missing else []),
            *([f"unexpected {listed(strange, SHOWN)}"] if strange else []),
            *([f"of the wrong shape {_shapes(misshapen, expected)}"] if misshapen else []),
        ]
        advice = _advice(wanted, header, given, misshapen if not (missing or strange) else {})
        raise ModelError(
            f"{file_name} does not fit {wanted.name}. {advice} Details: {'; '.join(parts)}."
        )
    if unusable:
        kinds = ", ".join(sorted({info.dtype for info in unusable.values()}))
        raise ModelError(
            f"{file_name} stores {listed(unusable, SHOWN)} as {kinds}. Quantised or complex "
            "weights cannot be pruned; give the weights as float32."
        )
    return sources


def _sources(
    tensors: Mapping[str, TensorInfo], expected: Mapping[str, Tensor], file_name: str
) -> dict[str, str]:
    """The names in the file by their names without the prefixes of frameworks, and without one that
    all share if the network's names are left."""
    parts = zip(*(name.split(".")[:-1] for name in tensors), strict=False)
    shared = [part[0] for part in itertools.takewhile(lambda part: len({*part}) == 1, parts)]
    needed = {name for name in expected if not name.endswith(COUNTER)}
    lengths = [len(".".join([*shared[:count], ""])) for count in range(len(shared) + 1)]
    start = next((n for n in lengths if needed <= {name[n:] for name in tensors}), 0)
    sources: dict[str, str] = {}
    for source in tensors:
        name = source[start:]
        while name not in expected and name.startswith(PREFIXES):
            name = name.partition(".")[2]
        if name in sources:
            raise ModelError(
                f"{file_name} contains {name} twice, as {sources[name]} and as {source}. Save the "
                "state_dict of one network only."
            )
        sources[name] = source
    return sources


def _kinds(tensor: Tensor) -> frozenset[str]:
    """The formats in which a file may store it: those who convert all tensors to floats convert the
    counters of batch norm, too."""
    return FLOATS if tensor.is_floating_point() else WHOLE | FLOATS


def _advice(
    wanted: Wanted,
    header: Header,
    given: Mapping[str, TensorInfo],
    misshapen: Mapping[str, TensorInfo],
) -> str:
    """Why the file does not fit, if known, and what to do.

    ``misshapen`` is empty if shapes are not the (only) reason.
    """
    model = header.label.get("model")
    if isinstance(model, str) and model != wanted.name and model in list(MODELS):
        return f"It was written for {model}; choose that model."
    expected = wanted.model.state_dict()
    pairs = [(info.shape, tuple(expected[name].shape)) for name, info in misshapen.items()]
    counts = {theirs[0] for theirs, ours in pairs if _differ_at(0, theirs, ours)}
    last = all(_differ_at(0, *pair) and pair[1][0] == wanted.classes for pair in pairs)
    if last and len(counts) == 1:
        (count,) = counts
        return (
            f"It has {count} classes, the data have {wanted.classes}: choose data with "
            f"{count} classes, or train its last layer for {wanted.classes} first."
        )
    if len(pairs) == 1:
        ((theirs, ours),) = pairs
        if len(ours) == 4 and _differ_at(1, theirs, ours) and ours[1] == wanted.shape[0]:
            return (
                f"It takes images with {counted(theirs[1], 'channel')}, the data have "
                f"{counted(ours[1], 'channel')}: choose matching data."
            )
    like = [n for n in MODELS if n != wanted.name and _same_names(n, wanted, given)]
    if like:
        return f"Its layer names match {' and '.join(like)}; choose that model."
    extra = [name for name in given if name not in expected]
    needed = {n for n in expected if not n.endswith(COUNTER)}
    if extra and needed <= set(given):
        return (
            f"It contains every tensor of {wanted.name}, and {counted(len(extra), 'tensor')} more: "
            "save the file again without those."
        )
    return "Choose the model and the image size that the weights were trained for."


def _differ_at(axis: int, theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    """Whether the shapes differ along ``axis`` alone."""
    unequal = [i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]]
    return len(theirs) == len(ours) and unequal == [axis]


def _same_names(model: str, wanted: Wanted, given: Mapping[str, TensorInfo]) -> bool:
    names = outline(model, wanted.shape, wanted.classes).state_dict()
    return {n for n in names if not n.endswith(COUNTER)} == {
        n for n in given if not n.endswith(COUNTER)
    }


def _shapes(misshapen: Mapping[str, TensorInfo], expected: Mapping[str, Tensor]) -> str:
    return listed(
        (
            f"{n} ({_size(misshapen[n].shape)} instead of {_size(expected[n].shape)})"
            for n in misshapen
        ),
        SHOWN,
    )


def _size(shape: Iterable[int]) -> str:
    return "×".join(map(str, shape)) or "a single number"
