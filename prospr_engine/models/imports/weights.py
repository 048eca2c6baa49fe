"""Weights from a user's file for a network of the tables, matched by names and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from prospr_engine.errors import ModelError
from prospr_engine.format import counted, listed
from prospr_engine.io.tokens import display_name
from prospr_engine.models import MODELS
from prospr_engine.models.adapt import other_channels, spread
from prospr_engine.models.classifier import Classifier, replaced
from prospr_engine.models.imports.header import Header, TensorInfo, read_header
from prospr_engine.models.imports.numbers import SHOWN, check_numbers
from prospr_engine.models.imports.recognise import PREFIXES, recognise, sentence, views
from prospr_engine.models.imports.state_dict import weights_file
from prospr_engine.models.outline import classifier_of
from prospr_engine.models.signatures import COUNTER

FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
WHOLE = frozenset({"U8", "I8", "I16", "I32", "I64"})


@dataclass(frozen=True)
class Wanted:
    """The network to load weights into, and what it was built for: images of ``shape`` (C, H, W)
    and a number of classes. The model may be on the meta device."""

    name: str
    model: nn.Module
    shape: tuple[int, int, int]
    classes: int


@dataclass(frozen=True)
class Fit:
    """How a file fits a network: the name in the file for every tensor that is ``loaded``, those of
    a first layer whose kernels are ``spread`` over another number of channels, and ``notes`` for
    the user on what is not as the file has it."""

    loaded: Mapping[str, str]
    spread: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()


def load_weights(wanted: Wanted, file: str) -> tuple[str, ...]:
    """Load the weights of ``file``, a path or the token of an upload, into the network, and return
    notes for the user.

    Half and double precision become float32. Where the file is for another number of classes, the
    classifier stays as it was built. Raises ``ModelError`` if a tensor is missing, unexpected, of
    the wrong shape or not finite; the network is then unchanged.
    """
    from safetensors import SafetensorError, safe_open

    path, file_name = weights_file(file), display_name(file)
    header = read_header(path, file_name)
    found = fit(wanted, header, file_name)
    check_numbers(path, header, file_name)
    state = wanted.model.state_dict()
    given: dict[str, Tensor] = {}
    try:
        with safe_open(str(path), framework="pt") as tensors:
            for name, source in found.loaded.items():
                given[name] = _as(state[name], tensors.get_tensor(source), name, file_name)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{file_name} cannot be read ({error}). Write the file again.") from None
    for name in found.spread:
        given[name] = spread(given[name], wanted.shape[0])
    wanted.model.load_state_dict(state | given)
    if hasattr(wanted.model, "transform_input"):
        # Inception and GoogLeNet keep this half of their input scaling outside the weights.
        scaled: Any = header.label.get("transform_input") is True and not found.spread
        wanted.model.transform_input = scaled
    return found.notes


def _as(like: Tensor, values: Tensor, name: str, file_name: str) -> Tensor:
    """``values`` in the number format of ``like``, which may be one for whole numbers."""
    if not like.is_floating_point() and bool((values != values.round()).any()):
        raise ModelError(
            f"{name} in {file_name} stores whole numbers, but not all of its values are. Give the "
            "weights as the network's state_dict has them."
        )
    return values.to(like.dtype)


def fit(wanted: Wanted, header: Header, file_name: str) -> Fit:
    """How the file fits the network, from names and shapes alone.

    Raises ``ModelError`` that lists what does not fit, and says what to do if the reason is
    known.
    """
    expected = wanted.model.state_dict()
    sources = _sources(header.tensors, expected, file_name)
    given = {name: header.tensors[source] for name, source in sources.items()}
    classifier = classifier_of(wanted.name, wanted.model, wanted.shape, wanted.classes)
    heads = {name.rpartition(".")[0] for name in classifier}
    missing = [n for n in expected if n not in given and not n.endswith(COUNTER)]
    strange = [name for name in given if name not in expected]
    common = {name: info for name, info in given.items() if name in expected}
    misshapen = {n: i for n, i in common.items() if i.shape != tuple(expected[n].shape)}
    notes = []
    had = _other_classes(misshapen, expected, classifier)
    left = {name for name in misshapen if name in classifier} if had else set()
    if had:
        notes.append(replaced(had, wanted.classes, given=True))
    elif heads and missing and all(_inside(name, heads) for name in (*missing, *strange)):
        left, strange = {n for n in expected if _inside(n, heads)}, []
        notes.append("The file has no classifier that fits: it is new, everything else was loaded.")
    missing = [name for name in missing if name not in left]
    misshapen = {name: info for name, info in misshapen.items() if name not in left}
    if spread_out := _of_other_channels(wanted, misshapen):
        notes.append(other_channels(misshapen[min(spread_out)].shape[1], wanted.shape[0]))
    misshapen = {name: info for name, info in misshapen.items() if name not in spread_out}
    unusable = {n: i for n, i in common.items() if i.dtype not in _kinds(expected[n])}
    if missing or strange or misshapen:
        parts = [
            *([f"missing {listed(missing, SHOWN)}"] if missing else []),
            *([f"unexpected {listed(strange, SHOWN)}"] if strange else []),
            *([f"of the wrong shape {_shapes(misshapen, expected)}"] if misshapen else []),
        ]
        raise ModelError(
            f"{file_name} does not fit {wanted.name}. {_advice(wanted, header, given)} "
            f"Details: {'; '.join(parts)}."
        )
    if unusable:
        kinds = ", ".join(sorted({info.dtype for info in unusable.values()}))
        raise ModelError(
            f"{file_name} stores {listed(unusable, SHOWN)} as {kinds}. Quantised or complex "
            "weights cannot be pruned; give the weights as float32."
        )
    others = len(header.tensors) - len(given)
    if others:
        notes.append(f"{counted(others, 'other tensor')} of the file belong to no part of it.")
    loaded = {n: source for n, source in sources.items() if n in expected and n not in left}
    return Fit(loaded, frozenset(spread_out), tuple(notes))


def _inside(name: str, layers: Iterable[str]) -> bool:
    return any(name.startswith(f"{layer}.") if layer else "." not in name for layer in layers)


def _other_classes(
    misshapen: Mapping[str, TensorInfo], expected: Mapping[str, Tensor], classifier: Classifier
) -> int:
    """The number of classes of the file if parts of the classifier differ only in that, or 0."""
    found = {
        info.shape[classifier[name]]
        if _differ_at(classifier[name], info.shape, tuple(expected[name].shape))
        else 0
        for name, info in misshapen.items()
        if name in classifier
    }
    return found.pop() if len(found) == 1 else 0


def _of_other_channels(wanted: Wanted, misshapen: Mapping[str, TensorInfo]) -> set[str]:
    """The kernels that differ only because the file is for images of other channels."""
    expected = wanted.model.state_dict()
    found = {
        name: info.shape[1]
        for name, info in misshapen.items()
        if len(info.shape) == 4
        and _differ_at(1, info.shape, tuple(expected[name].shape))
        and expected[name].shape[1] == wanted.shape[0]
    }
    return {*found} if {*found} == {*misshapen} and len({*found.values()}) == 1 else set()


def _sources(
    tensors: Mapping[str, TensorInfo], expected: Mapping[str, Tensor], file_name: str
) -> dict[str, str]:
    """The names in the file by their names without the prefixes of frameworks, and without one that
    all share, or all of one part of the file, if the network's names are left."""
    needed = {name for name in expected if not name.endswith(COUNTER)}
    whole = {name: name for name in tensors}
    # The smallest part that has every tensor of the network, unless they are outside any part.
    parts = [] if needed <= {*tensors} else [p for p in views(tensors) if needed <= {*p}]
    sources: dict[str, str] = {}
    for short, source in min(parts, key=len, default=whole).items():
        name = short
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


def _advice(wanted: Wanted, header: Header, given: Mapping[str, TensorInfo]) -> str:
    """Why the file does not fit, if known, and what to do."""
    model = header.label.get("model")
    if isinstance(model, str) and model != wanted.name and model in list(MODELS):
        return f"It was written for {model}; choose that model."
    expected = wanted.model.state_dict()
    if _normalised(given) and not _normalised(expected):
        # Without its batch norms the file would fit, and be another network.
        return (
            f"These weights have batch normalisation, which is merged with the convolutions in "
            f"{wanted.name}: export the network again with torch.onnx.export(…, optimize=False), "
            "or use the weights that it has already."
        )
    found = recognise(header.tensors)
    if found and wanted.name not in [one.model for one in found]:
        return f"{sentence(found)}: choose the model {found[0].model}."
    extra = [name for name in given if name not in expected]
    needed = {n for n in expected if not n.endswith(COUNTER)}
    if extra and needed <= set(given):
        return (
            f"It contains every tensor of {wanted.name}, and {counted(len(extra), 'tensor')} more: "
            "save the file again without those."
        )
    return "Choose the model and the image size that the weights were trained for."


def _normalised(names: Iterable[str]) -> bool:
    return any(name.endswith("running_mean") for name in names)


def _differ_at(axis: int, theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    """Whether the shapes differ along ``axis`` alone."""
    unequal = [i for i, pair in enumerate(zip(theirs, ours, strict=False)) if pair[0] != pair[1]]
    return len(theirs) == len(ours) and unequal == [axis]


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
