"""Networks that others wrote: copied, switched and run without trusting what they do.

Their code may raise anything, change its input, keep what it computed, or override ``train``. Here
is the one place that turns what it raises into a ``ModelError`` that names the layer and a remedy;
lack of memory and interrupts pass through as they are.
"""

from __future__ import annotations

import copy
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from prospr_engine.errors import EngineError, ModelError
from prospr_engine.network.answer import check_logits
from prospr_engine.network.device import is_out_of_memory

PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
COMPILED = "_orig_mod"
"""What ``torch.compile`` calls the module inside its wrapper."""

QUANTISED = ("torch.ao.nn.quantized", "torch.ao.nn.intrinsic.quantized")
"""Where torch keeps layers of small whole numbers."""

REMEDIES = (
    (("use_reentrant", ".grad()"), "call torch.utils.checkpoint with use_reentrant=False"),
    (("argument #1 'indices'",), "give the indices that it looks up as whole numbers, x.long()"),
    (
        ("is invalid for input of size",),
        "give inputs of the size that it was built for, and write x.shape[0] in its forward "
        "where it fixes the number of inputs",
    ),
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
        raise ModelError(_no_module(model))
    for path, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            raise ModelError(
                f"Layer {path!r} is TorchScript, whose weights cannot be ranked; put the module "
                "there that it was scripted or traced from."
            )
        if type(module).__module__.startswith(QUANTISED):
            raise ModelError(
                f"Layer {path!r} ({type(module).__name__}) is quantised, and only real numbers "
                "can be ranked; give the network that it was made from, and quantise after pruning."
            )
    tensors = [*model.named_parameters(), *model.named_buffers()]
    for name, parameter in model.named_parameters():
        if parameter.layout != torch.strided:
            raise ModelError(
                f"{name} is stored as a sparse tensor ({parameter.layout}); make it a dense one, "
                "torch.nn.Parameter(weight.detach().to_dense())."
            )
    for name, tensor in tensors:
        if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
            raise ModelError(
                f"Layer {name.rpartition('.')[0]!r} is lazy and has no weights yet; run one batch "
                "through the model first."
            )
    meta = next((name for name, tensor in tensors if tensor.is_meta), None)
    if values and meta is not None:
        raise ModelError(
            f"{meta} is on the meta device and has no values; build the model on the CPU, or call "
            "model.to_empty(device='cpu') and load its weights."
        )


def _no_module(given: object) -> str:
    """A sentence on what is no module of PyTorch."""
    if isinstance(given, type):
        return f"The model is the class {given.__name__}; give an instance of it."
    remedy = "give a torch.nn.Module"
    if isinstance(given, Mapping):
        remedy = "if these are weights, give the torch.nn.Module that they were loaded into"
    elif type(given).__name__ == "ExportedProgram":
        remedy = "give the torch.nn.Module that it was exported from"
    return f"The model is of type {type(given).__name__}; {remedy}."


def own_copy(model: nn.Module) -> nn.Module:
    """A copy to work on. Activations that a module kept are copied as plain values, and what
    ``torch.compile`` wrapped runs as it was written.

    Raises ``ModelError`` for what is no module with weights, and for one that cannot be copied.
    """
    check_module(model, values=False)
    try:
        copied = copy.deepcopy(model, _kept_activations(model))
    except Exception as error:  # whatever the model's own __deepcopy__ may raise
        if is_out_of_memory(error):
            raise
        raise ModelError(
            f"This model cannot be copied ({first_line(error)}), and the engine works on a copy; "
            "remove tensors and handles that its modules keep, or build it afresh and load its "
            "state_dict."
        ) from error
    for module in copied.modules():
        # Compiled code would not notice the hooks and modes with which the engine looks inside.
        if type(module).__name__ == "OptimizedModule" and COMPILED in module._modules:
            module.forward = module.get_submodule(COMPILED).__call__
    return copied


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


def learned_names(model: nn.Module) -> set[str]:
    """The real parameters, and the statistics of normalisations. Other buffers may be infinite by
    design, as masks of attention are."""
    found = {name for name, p in model.named_parameters() if p.is_floating_point()}
    for path, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._NormBase):
            found |= {
                f"{path}.{name}".lstrip(".")
                for name in ("running_mean", "running_var")
                if module._buffers.get(name) is not None
            }
    return found


def set_mode(model: nn.Module, training: bool) -> None:
    """Train or eval mode. A ``train`` of the model's own that takes a mode is respected, such as
    one that freezes batch norms; one that does something else is passed over."""
    with suppress(Exception):  # it may be a training loop
        model.train(training)
        if model.training == training:
            return
    for module in model.modules():
        module.training = training


@contextmanager
def explained(model: nn.Module, doing: str, x: Tensor | None = None) -> Iterator[None]:
    """Turn whatever the code of ``model`` raises, given ``x``, into a ``ModelError`` that begins
    with ``doing``, such as "The model cannot take a batch of shape (2, 3)", and names the layer and
    a remedy."""
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
            f"What to do: {_remedy(model, error, x)}."
        ) from error


def logits_of(model: nn.Module, x: Tensor) -> Tensor:
    """What ``model`` answers to a copy of ``x``, which must be one tensor with a row of logits for
    each input. Raises ``ModelError``."""
    with explained(model, cannot_take(x), x):
        answer = model(x.clone())
    return check_logits(answer, x)


def cannot_take(x: Tensor) -> str:
    """How a sentence begins about a batch that a model does not run on."""
    return f"The model cannot take a batch of shape {tuple(x.shape)}"


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


def _remedy(model: nn.Module, error: BaseException, x: Tensor | None) -> str:
    if isinstance(model, PARALLEL):
        return "give model.module, the network inside DataParallel"
    if COMPILED in model._modules:
        return f"give model.{COMPILED}, the network before torch.compile"
    for path, module in model.named_modules():
        if isinstance(module, PARALLEL) or COMPILED in module._modules:
            inside = "module" if isinstance(module, PARALLEL) else COMPILED
            return f"replace layer {path!r} with its {inside}, the network inside the wrapper"
    looks_up = any(isinstance(m, nn.Embedding | nn.EmbeddingBag) for m in model.modules())
    if x is not None and not x.is_floating_point() and not looks_up:
        return f"give inputs of real numbers, as x.float() does; these are {x.dtype}"
    text = str(error)
    for signs, remedy in REMEDIES:
        if any(sign in text for sign in signs):
            return remedy
    return OTHERWISE
