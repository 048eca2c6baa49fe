"""Which output of a file has the class scores, and what belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Graph, Node, Output
from prospr_engine.models.imports.onnx.registry import find_layer, find_operator

PASSING = ("Identity", "Cast", "Flatten", "Reshape", "Squeeze", "Unsqueeze", "Dropout")
"""What leaves class scores what they are."""

ENDS = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear")


@dataclass(frozen=True)
class Scores:
    """``graph`` has one output, the class scores without what normalises them, ``kind`` (see
    ``Imported.output``)."""

    graph: Graph
    kind: str
    notes: Sequence[str]


def class_scores(graph: Graph) -> Scores:
    """Raises ``ModelError`` if no output has class scores that can be computed, or several may."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    reasons, found = [], []
    for output in graph.outputs:
        why_not = _why_not(output, graph, makers)
        if why_not:
            reasons.append(why_not)
        else:
            found.append((output, *_without_end(output.name, makers)))
    if not found:
        raise ModelError(reasons[0])
    output, _, kind, skipped = _choose(found)
    nodes = [_as_identity(node) if node in skipped else node for node in graph.nodes]
    needed = _needed(output.name, {name: node for node in nodes for name in node.outputs})
    nodes = [node for node in nodes if node in needed]
    used = {name for node in nodes for name in node.inputs}
    constants = {name: value for name, value in graph.constants.items() if name in used}
    notes = []
    if len(graph.outputs) > 1:
        others = ", ".join(repr(o.name) for o in graph.outputs if o is not output)
        notes.append(f"Of the file's outputs {output.name!r} is used; {others} stay as they are.")
    if kind != "logits":
        notes.append(
            f"The file ends in {kind}; the network is trained on the values before it, and the "
            "file keeps it."
        )
    graph = replace(graph, nodes=nodes, constants=constants, outputs=[output])
    return Scores(graph, kind, notes)


_Found = tuple[Output, str, str, Sequence[Node]]


def _choose(found: Sequence[_Found]) -> _Found:
    """The output with the class scores. Logits and probabilities made of them are the same."""
    normalised = [each for each in found if each[2] != "logits"]
    groups = normalised or found
    # A size that the file does not say may be any.
    classes = {(each[0].shape or (None,))[-1] or each[0].name for each in groups}
    distinct = {each[1] for each in groups}
    if len(distinct) > 1 and len(classes) > 1:
        names = ", ".join(repr(each[0].name) for each in groups)
        raise ModelError(
            f"The file has several outputs that may be class scores ({names}); export the network "
            "so that it gives its class scores alone."
        )
    return groups[0]


def _why_not(output: Output, graph: Graph, makers: dict[str, Node]) -> str:
    """A sentence on an output that has no class scores, or "" if it may."""
    name = output.name
    if output.name in graph.constants or output.name == graph.input.name:
        return f"The output {name!r} does not depend on the image; export the network again."
    if not output.is_real:
        return f"The output {name!r} does not hold real numbers, so it has no class scores."
    if output.shape is not None and not _like_scores(output.shape):
        text = "×".join("N" if i == 0 else str(n or "?") for i, n in enumerate(output.shape))
        return (
            f"The output {name!r} has shape {text}, and one row of class scores for each image is "
            "needed (N, classes); export a classifier, with its last layer."
        )
    needed = _needed(name, makers)
    for node in graph.nodes:
        if node in needed and not find_operator(node) and not find_layer(node):
            return unknown(node)
    return ""


def unknown(node: Node) -> str:
    """A sentence on an operator that cannot be imported."""
    if node.operator in QUANTISED:
        return (
            f"{node} computes with whole numbers: the file is quantised, and what it rounds has no "
            "gradient. Give the file that it was quantised from, and quantise after pruning."
        )
    if node.domain:
        return (
            f"{node} is not one of ONNX's standard operators, so only the program that made it "
            "knows what it computes. Export the network without it, or with plain operators."
        )
    return (
        f"{node} is not among the operators that can be imported. What to try: export with a "
        "current version of PyTorch and opset 20, simplify the file with onnxslim, or replace "
        "this operation in the network before exporting it."
    )


def _like_scores(shape: tuple[int | None, ...]) -> bool:
    return len(shape) >= 2 and shape[1] != 1 and all(n in (1, None) for n in shape[2:])


def _needed(name: str, makers: dict[str, Node]) -> set[Node]:
    """The nodes from which ``name`` is computed."""
    found: set[Node] = set()
    open_names = [name]
    while open_names:
        node = makers.get(open_names.pop())
        if node is not None and node not in found:
            found.add(node)
            open_names.extend(node.inputs)
    return found


def _without_end(name: str, makers: dict[str, Node]) -> tuple[str, str, Sequence[Node]]:
    """The value that is normalised at the end, how, and the nodes that do so."""
    skipped: list[Node] = []
    start, logarithm = name, False
    while name in makers:
        node = makers[name]
        kind = ENDS.get(node.operator)
        if kind and node.get("axis", 1) != 0 and not (logarithm and kind != "softmax"):
            skipped.append(node)
            return node.inputs[0], "log_softmax" if logarithm else kind, skipped
        if node.operator == "Log" and not logarithm:
            logarithm = True
            skipped.append(node)
        elif node.operator not in PASSING:
            break
        name = node.inputs[0]
    return start, "logits", ()


def _as_identity(node: Node) -> Node:
    return replace(node, operator="Identity", attributes={})
