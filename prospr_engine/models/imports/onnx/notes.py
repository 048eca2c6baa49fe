"""What a user should know about an imported network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prospr_engine.models.imports.onnx.graph import Graph
from prospr_engine.models.imports.onnx.homes import Home

CONVOLUTIONS = 4
"""Networks with as many are hardly ever built without normalisation today."""


def notes_on(graph: Graph, homes: Mapping[str, Home]) -> Iterator[str]:
    """Sentences on ``graph``, whose tensors lie at ``homes``."""
    if any(node.get("training_mode", 0) for node in graph.nodes):
        yield (
            "The file was exported in training mode, in which batch norm uses the statistics of "
            "each batch. Here it uses those in the file, as in eval mode."
        )
    convolutions = [node for node in graph.nodes if node.operator == "Conv"]
    normalised = any("Normalization" in node.operator for node in graph.nodes)
    if not normalised and len(convolutions) >= CONVOLUTIONS:
        yield (
            "The file has no batch normalisation. If the network had some, the exporter has merged "
            "it with the convolutions: it can be trained, but less well than with it. To keep it, "
            "export with torch.onnx.export(…, optimize=False), or in the older exporter with "
            "training=torch.onnx.TrainingMode.PRESERVE and do_constant_folding=False."
        )
    computed = [name for name, home in homes.items() if home.computed]
    if computed:
        yield (
            f"{len(computed)} of the {len(homes)} tensors are stored in another form, from which "
            "the file computes them (packed, quantised, scaled, or once for several that were "
            "equal); trained ones are written back as plain numbers."
        )
