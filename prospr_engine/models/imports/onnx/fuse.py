"""Several nodes that are one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from prospr_engine.models.imports.onnx.graph import Graph, Node


def fuse(graph: Graph) -> Graph:
    """``graph`` with a bias that is added to a product of matrices as the third input of MatMul,
    so that both become one linear layer."""
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    readers.update(output.name for output in graph.outputs)
    products = {
        node.outputs[0]: node
        for node in graph.nodes
        if node.operator == "MatMul" and _is_matrix(graph, node.inputs[1])
    }
    merged: dict[str, Node] = {}  # by the name of the sum
    gone: set[str] = set()
    for node in graph.nodes:
        if node.operator != "Add":
            continue
        for made, bias in (node.inputs, node.inputs[::-1]):
            product = products.get(made)
            if product is not None and readers[made] == 1 and _is_bias(graph, product, bias):
                merged[node.outputs[0]] = replace(
                    product, inputs=(*product.inputs, bias), outputs=node.outputs
                )
                gone.add(made)
                break
    nodes = [
        merged.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in gone
    ]
    return replace(graph, nodes=nodes)


def without_empty_biases(graph: Graph) -> Graph:
    """``graph`` without biases of zeros that the file computes: PyTorch's exporter makes them for
    convolutions that have none."""

    def is_empty(name: str) -> bool:
        bias = graph.constants.get(name)
        return bias is not None and bias.home.computed and not bias.values.any()

    nodes = [
        replace(node, inputs=node.inputs[:2])
        if node.operator in ("Conv", "ConvTranspose", "Gemm")
        and len(node.inputs) == 3
        and is_empty(node.inputs[2])
        else node
        for node in graph.nodes
    ]
    used = {name for node in nodes for name in node.inputs}
    constants = {name: value for name, value in graph.constants.items() if name in used}
    return replace(graph, nodes=nodes, constants=constants)


def without_sequences(graph: Graph) -> Graph:
    """``graph`` with Split in the place of SplitToSequence, whose parts SequenceAt takes out:
    so PyTorch's exporter writes it unless it optimises."""
    parts: dict[str, dict[int, str]] = {}  # by the name of the sequence: outputs by position
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    for node in graph.nodes:
        if node.operator == "SequenceAt" and node.inputs[1] in graph.constants:
            place = int(graph.constants[node.inputs[1]].values)
            parts.setdefault(node.inputs[0], {})[place] = node.outputs[0]
    nodes, taken = [], set()
    for node in graph.nodes:
        sequence = node.outputs[0] if node.outputs else ""
        if node.operator == "SplitToSequence" and len(node.inputs) == 2:
            own, sizes = parts.get(sequence, {}), graph.constants.get(node.inputs[1])
            whole = sizes is not None and sizes.shape == (len(sizes.values.reshape(-1)),)
            if sizes is not None and whole and readers[sequence] == len(own):
                outputs = {place % len(sizes.values): name for place, name in own.items()}
                taken.add(sequence)
                node = replace(
                    node,
                    operator="Split",
                    outputs=tuple(
                        outputs.get(place, f"{sequence}:{place}")
                        for place in range(len(sizes.values))
                    ),
                )
        if node.operator != "SequenceAt" or node.inputs[0] not in taken:
            nodes.append(node)
    return replace(graph, nodes=nodes)


def _is_matrix(graph: Graph, name: str) -> bool:
    constant = graph.constants.get(name)
    return constant is not None and constant.is_float and len(constant.shape) == 2


def _is_bias(graph: Graph, product: Node, name: str) -> bool:
    """One number for each output, along the last axis."""
    bias, columns = graph.constants.get(name), graph.constants[product.inputs[1]].shape[1]
    if bias is None or not bias.is_float or not 1 <= len(bias.shape) <= 2:
        return False
    return bias.shape[-1] == columns == bias.values.size
