"""Networks that others wrote: copied, switched and run without trusting what they do.

Their code may raise anything, change its input, keep what it computed, or override ``train``. Here
is the one place that turns what it raises into a ``ModelError`` that names the layer and a remedy;
lack of memory and interrupts pass through as they are.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from prospr_engine.errors import EngineError, ModelError
from prospr_engine.network.device import is_out_of_memory

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
COMPILED = "_orig_mod"
"""What ``torch.compile`` calls the module inside its wrapper."""

REMEDIES = (
    (("use_reentrant", ".grad()"), "call torch.utils.checkpoint with use_reentrant=False"),
    (
        ("same dtype", "scalar type", "data type", "but got Double", "to have dtype"),
        "its forward fixes a number format: create tensors in that of the input, as x.new_zeros "
        "does, and drop calls such as .float()",
    ),
    (("same device", "device type"), "move the model and all its tensors to one device"),
    (
        ("positional argument", "keyword argument", "keyword-only argument"),
        "it is called with one tensor: wrap it in a module whose forward takes one and returns "
        "logits",
    ),
    (("more than 1 value per channel",), "give batches of at least 2 inputs"),
    (
        ("shape", "size", "dimension", "channels", "mat1"),
        "give inputs of the size that it was built for",
    ),
)
"""Parts of messages, and what to do about it."""

OTHERWISE = "run model(x) on such a batch, in train and in eval mode, to see the error itself"


def check_module(model: object, values: bool = True) -> None:
    """Raise ``ModelError`` for what is no module of PyTorch whose weights have shapes, and unless
    ``values`` is False, numbers in memory."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError(
            "The model is TorchScript, whose layers cannot be changed; give the module that it was "
            "scripted or traced from."
        )
    if not isinstance(model, nn.Module):
        kind = type(model).__name__
        given = "give a torch.nn.Module"
        if kind == "ExportedProgram":
            given = "give the torch.nn.Module that it was exported from"
        raise ModelError(f"The model is of type {kind}; {given}.")
    named = [*model.named_parameters(), *model.named_buffers()]
    for name, tensor in named:
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise ModelError(
                f"Layer {name.rpartition('.')[0]!r} is lazy and has no weights yet; run one batch "
                "through the model first."
            )
    meta = next((name for name, tensor in named if tensor.is_meta), None)
    if values and meta is not None:
        raise ModelError(
            f"{meta} is on the meta device and has no values; build the model on the CPU, or call "
            "model.to_empty(device='cpu') and load its weights."
        )


def own_copy(model: nn.Module) -> nn.Module:
    """A copy to work on. Activations that a module kept are copied as plain values.

    Raises ``ModelError`` for what is no module with weights, and for one that cannot be copied.
    """
    check_module(model, values=False)
    try:
        return copy.deepcopy(model, _kept_activations(model))
    except Exception as error:  # whatever the model's own __deepcopy__ may raise
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"This model cannot be copied ({first_line(error)}), and the engine works on a copy; "
            "remove tensors and handles that its modules keep, or build it afresh and load its "
            "state_dict."
        ) from error


def _kept_activations(model: nn.Module) -> dict[int, Tensor]:
    """What ``copy.deepcopy`` refuses to copy: tensors with a history, by id."""
    found: dict[int, Tensor] = {}
    seen: set[int] = set()
    open_values: list[object] = [vars(module) for module in model.modules()]
    while open_values:
        value = open_values.pop()
        if isinstance(value, Tensor):
            if not value.is_leaf:
                found[id(value)] = value.detach().clone()
        elif isinstance(value, dict | list | tuple | set) and id(value) not in seen:
            seen.add(id(value))
            open_values.extend(value.values() if isinstance(value, dict) else value)
    return found


def set_mode(model: nn.Module, training: bool) -> None:
    """Train or eval mode. A ``train`` of the model's own that takes a mode is respected, such as
    one that freezes batch norms; one that does something else is passed over."""
    try:
        model.train(training)
    except Exception:  # noqa: BLE001  (it may be a training loop)
        for module in model.modules():
            module.training = training


@contextmanager
def explained(model: nn.Module, doing: str) -> Iterator[None]:
    """Turn whatever the code of ``model`` raises into a ``ModelError`` that begins with ``doing``,
    such as "The model cannot take a batch of shape (2, 3)", and names the layer and a remedy."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        where = _innermost(model, error)
        raise ModelError(
            f"{doing}{f' (in {where})' if where else ''}: {first_line(error)}. "
            f"What to do: {_remedy(model, error)}."
        ) from error


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """What ``model`` answers to a copy of ``x``, which must be one tensor with a row of logits for
    each input. Raises ``ModelError``."""
    with explained(model, cannot_take(x)):
        answer = model(x.clone())
    return check_logits(answer, x)


def cannot_take(x: Tensor) -> str:
    """How a sentence begins about a batch that a model does not run on."""
    return f"The model cannot take a batch of shape {tuple(x.shape)}"


def check_logits(answer: object, x: Tensor) -> Tensor:
    """``answer``, if it has a row of logits for each input of ``x``; else raises ``ModelError``."""
    if not isinstance(answer, Tensor):
        raise ModelError(
            f"The model answers with a {type(answer).__name__}, not with one tensor of logits, "
            "(batch, classes); wrap it in a module that returns the logits alone."
        )
    if answer.dim() == 2 and len(answer) == len(x):
        return answer
    shape, remedy = tuple(answer.shape), "return logits of shape (batch, classes)"
    if answer.dim() > 2 and len(answer) == len(x):
        ones = all(size == 1 for size in shape[2:])
        remedy = "add .flatten(1) to them" if ones else "take their mean over all but two axes"
    elif answer.numel() % len(x) == 0 and answer.numel():
        remedy = "flatten with x.flatten(1), which keeps the batch axis"
    raise ModelError(
        f"The model answers {len(x)} inputs with logits of shape {shape}; there must be one row of "
        f"logits for each, (batch, classes): {remedy}."
    )


def first_line(error: BaseException) -> str:
    """The first line of a message, without its full stop; the kind of error if it has none."""
    kind = type(error).__name__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return kind
    said = isinstance(error, RuntimeError | ValueError | TypeError)
    return f"{'' if said else f'{kind}: '}{lines[0][:300].rstrip('.')}"


def _innermost(model: nn.Module, error: BaseException) -> str:
    """The module whose code was running when ``error`` was raised."""
    paths = {id(module): path for path, module in model.named_modules()}
    found = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        owner = frame.f_locals.get("self")
        if frame.f_code.co_name == "__getattr__":  # whoever looks is at fault
            continue
        if isinstance(owner, nn.Module) and id(owner) in paths:
            found = owner
    return named(paths[id(found)], found) if found is not None else ""


def named(path: str, module: nn.Module) -> str:
    """A layer, as a sentence names it."""
    kind = type(module).__name__
    return f"layer {path!r} ({kind})" if path else f"the network's own forward ({kind})"


def _remedy(model: nn.Module, error: BaseException) -> str:
    if isinstance(model, PARALLEL):
        return "give model.module, the network inside DataParallel"
    if COMPILED in model._modules:
        return f"give model.{COMPILED}, the network before torch.compile"
    for path, module in model.named_modules():
        if isinstance(module, PARALLEL) or COMPILED in module._modules:
            inside = "module" if isinstance(module, PARALLEL) else COMPILED
            return f"replace layer {path!r} with its {inside}, the network inside the wrapper"
    text = str(error)
    for signs, remedy in REMEDIES:
        if any(sign in text for sign in signs):
            return remedy
    return OTHERWISE
