"""Kept and total weights in the metadata of the nodes that use them, where viewers show them.

Every node that computes with a pruned weight (Conv, Gemm, MatMul …) has three entries in its
``metadata_props``: ``kept``, ``total``, and ``sparsity``, the fraction removed. Nodes that only
prepare a weight (unpack, transpose, dequantise it) have none, and neither has a file of an earlier
version.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from prospr_engine.export.proof import Check
from prospr_engine.export.provenance import LayerRecord
from prospr_engine.format import brief, plain_number

MEASURING = frozenset({"Shape", "Size"})
"""Operators whose result does not depend on the values of a weight."""


KEYS = ("kept", "total", "sparsity")
OLDEST = 10
"""The first version of the format in which nodes have metadata."""


def write(model: onnx.ModelProto, layers: Sequence[LayerRecord]) -> None:
    """Write the counts of ``layers`` into the nodes of ``model``, replacing earlier ones; what else
    their metadata say stays. A file of a format that knows no such metadata gets none."""
    for node in model.graph.node:
        for prop in [prop for prop in node.metadata_props if prop.key in KEYS]:
            node.metadata_props.remove(prop)
    if model.ir_version < OLDEST:
        return
    for place, used in _uses(model, layers).items():
        for key, value in _counts(used).items():
            model.graph.node[place].metadata_props.add(key=key, value=value)


def check(model: onnx.ModelProto, layers: Sequence[LayerRecord]) -> list[Check]:
    """One check of the counts in the file, or none if it has no counts."""
    if not any(prop.key in KEYS for node in model.graph.node for prop in node.metadata_props):
        return []
    wanted = {place: _counts(used) for place, used in _uses(model, layers).items()}
    for place, node in enumerate(model.graph.node):
        own = [prop for prop in node.metadata_props if prop.key in KEYS]
        props = {prop.key: prop.value for prop in own}
        if props != wanted.get(place, {}) or len(props) != len(own):
            said = ", ".join(f"{key}: {value}" for key, value in props.items()) or "nothing"
            text = (
                f"The metadata of the {node.op_type} node {brief(node.name)} ({brief(said)}) do "
                "not match the record."
            )
            return [Check("nodes", False, text)]
    text = f"The {len(wanted)} operators with weights that can be pruned say how many are kept."
    return [Check("nodes", True, text)]


def _counts(layers: Sequence[LayerRecord]) -> dict[str, str]:
    kept, total = (sum(counts) for counts in zip(*((x.kept, x.total) for x in layers), strict=True))
    sparsity = plain_number(1 - kept / total) if total else "0"
    return {"kept": str(kept), "total": str(total), "sparsity": sparsity}


def _uses(model: onnx.ModelProto, layers: Sequence[LayerRecord]) -> dict[int, list[LayerRecord]]:
    """Of each node that computes with weights of ``layers`` and what depends on the input, the
    place in the graph and these layers."""
    uses = {}
    graph, records = model.graph, {layer.tensor: layer for layer in layers}
    # By the name of every value that depends on weights only: the layers that it depends on.
    constant: dict[str, list[str]] = {}

    def add(name: str, made_of: list[str]) -> None:
        constant[name] = [name] if name in records else made_of

    for tensor in graph.initializer:
        add(tensor.name, [])
    for sparse in graph.sparse_initializer:
        add(sparse.values.name, [])
    for place, node in enumerate(graph.node):
        inputs = [name for name in node.input if name]
        used = list(dict.fromkeys(one for name in inputs for one in constant.get(name, ())))
        if all(name in constant for name in inputs):
            for name in node.output:
                add(name, [] if node.op_type in MEASURING else used)
        elif used:
            uses[place] = [records[name] for name in used]
    return uses
