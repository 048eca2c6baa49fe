"""Which layer or operator the exporter failed at, and what to try."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

NODE = re.compile(r"translating node %(\w+)")
OPERATOR = re.compile(r"OpOverload\(op='(?:\w+\.)?(\w+)'")


def sentence(
    error: BaseException, network: nn.Module, capture: Callable[[], Any], captured: Any
) -> str:
    """The message for an ``error`` of the exporter: while it captured the operators of ``network``
    (``captured`` is None; ``capture`` does it again), or while it translated them."""
    if captured is None:
        place = _named(network, failing_layer(network, capture))
        where = f", in {place}," if place else ""
        return (
            f"PyTorch cannot translate this network to ONNX; usually its forward{where} depends on "
            f"the values or the number of its inputs ({reason(error)}). Write such conditions with "
            "torch.where, or move them out of the network."
        )
    texts = [str(each) for each in _chain(error)]
    operator = next((found[1] for text in texts if (found := OPERATOR.search(text))), None)
    node = next((found[1] for text in texts if (found := NODE.search(text))), None)
    if operator is None:
        return (
            f"PyTorch cannot translate this network to ONNX ({reason(error)}). Update torch and "
            "onnxscript, or build the network of simpler layers."
        )
    place = _named(network, _layer_of(captured, node, operator))
    where = f", used in {place}," if place else ""
    return (
        f"PyTorch cannot translate the operator {operator}{where} to ONNX. Compute the same with "
        "other operators, or move it out of the network."
    )


def reason(error: BaseException) -> str:
    """The first line of the original error; torch wraps errors in pages of advice."""
    lines = [line.strip() for line in str(_chain(error)[-1]).splitlines() if line.strip()]
    return (lines[0] if lines else type(_chain(error)[-1]).__name__)[:300].rstrip(".")


def failing_layer(network: nn.Module, capture: Callable[[], Any]) -> str | None:
    """The innermost layer that was at work when ``capture`` failed, by its name; None if it does
    not fail, or not in a layer."""
    working: list[str] = []
    with _watched(network, working), contextlib.suppress(Exception):
        capture()
        return None
    return next(reversed(working), None)


@contextlib.contextmanager
def _watched(network: nn.Module, working: list[str]) -> Iterator[None]:
    """Keep in ``working`` the layers that have begun and not ended."""
    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(lambda *_, name=name: working.append(name)))
        hooks.append(module.register_forward_hook(lambda *_: working.pop() and None))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _layer_of(captured: Any, node: str | None, operator: str) -> str | None:
    """The layer of the node with that name, or else the first with that operator."""
    nodes = list(captured.graph.nodes)
    found = [each for each in nodes if each.name == node]
    found += [each for each in nodes if operator.strip("_") in str(each.target)]
    for each in found:
        stack = each.meta.get("nn_module_stack") or {}
        if stack:
            path: str = list(stack.values())[-1][0]
            return path
    return None


def _named(network: nn.Module, name: str | None) -> str:
    """``the layer 'head' (Linear)``; "" for none, or the network itself."""
    if not name:
        return ""
    try:
        kind = type(network.get_submodule(name)).__name__
    except AttributeError:
        return f"the layer {name!r}"
    return f"the layer {name!r} ({kind})"


def _chain(error: BaseException) -> list[BaseException]:
    chain = [error]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    return chain
