"""The graph of the ONNX file that a network was imported from, into which results are written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import Tensor, nn

from prospr_engine.errors import EngineError, ExportError
from prospr_engine.export import provenance
from prospr_engine.export.interface import RESHAPE, TRANSPOSE, Interface, Place, Template
from prospr_engine.export.names import PREFIX
from prospr_engine.export.onnx_file import inputs_of, parse, read_bytes
from prospr_engine.export.own_graph import differs_by, put
from prospr_engine.export.traced import Traced, trace_into, trace_network
from prospr_engine.guard import limits, sandbox
from prospr_engine.guard.onnx_model import check
from prospr_engine.io.tokens import display_name
from prospr_engine.models import is_file
from prospr_engine.models.imports.network_file import check_file
from prospr_engine.models.imports.onnx.homes import Home, Reshaped, Transposed
from prospr_engine.models.imports.onnx.load import import_network

COUNTER = "num_batches_tracked"
"""Of batch norms: no file has it."""
ATTEMPT = "prospr_engine.export.runtime:attempt"
CHANNELS_REMOVED = (
    "Channels were removed, so the graph is a new one, with the names of the file's input and "
    "output."
)


def template_of(data: bytes, name: str) -> Template:
    """The graph in ``data``, the content of a file called ``name`` that passed its trial. Raises
    ``ModelError`` if it cannot be imported, ``ExportError`` if it cannot be written to."""
    model = check(data, name)
    for prop in [prop for prop in model.metadata_props if prop.key.startswith(PREFIX)]:
        model.metadata_props.remove(prop)  # of an earlier run
    imported = import_network(model, name)
    outputs = [value.name for value in model.graph.output]
    scores = str(imported.network.output)
    if scores not in outputs:
        raise ExportError(f"{name} does not say which of its outputs has the class scores.")
    (fed,) = inputs_of(model.graph)
    kind = fed.type.tensor_type
    if kind.elem_type != onnx.TensorProto.FLOAT:
        raise ExportError(f"{name} does not take 32-bit numbers.")
    if any(
        one.name == "training_mode" and one.i for node in model.graph.node for one in node.attribute
    ):
        raise ExportError(
            f"{name} was exported in training mode, so its graph gives other answers for other "
            "batches. Export it in eval mode (TrainingMode.PRESERVE with model.eval())."
        )
    homes, classes = dict(imported.homes), imported.classes

    def fill(graph: Any, state: Mapping[str, np.ndarray]) -> None:
        _fill(graph, state, homes, name, classes)

    return Template(
        data=model.SerializeToString(),
        interface=Interface(
            input=fed.name,
            output=scores,
            batch=imported.batch,
            channels_last=imported.channels_last,
            flat=len(kind.shape.dim) == 2,
            answer=imported.output,
        ),
        places={own: Place(home.name, _layout(home)) for own, home in homes.items()},
        fill=fill,
    )


def template_for(model: str) -> tuple[Template | None, str]:
    """The graph of the network that the setting ``model`` names, if it is in a file; and if there
    is one that cannot be used, why. Before ONNX Runtime gets it, it was tried in a process of its
    own."""
    if not is_file(model):
        return None, ""
    name = display_name(model)
    try:
        template = template_of(check_file(model).read_bytes(), name)
        with tempfile.TemporaryDirectory(prefix="prospr-trial-") as folder:
            file = Path(folder, "model.onnx")
            file.write_bytes(template.data)
            sandbox.call(
                ATTEMPT,
                {"path": str(file)},
                name,
                limits.IMPORT_MEMORY.value,
                limits.IMPORT_SECONDS.value,
            )
    except EngineError as error:
        return None, str(error)
    except OSError as error:  # without the path, which is not for everybody
        return None, f"{name} cannot be read any more ({error.strerror})."
    return template, ""


def own_template(file: Path) -> Template | None:
    """The graph of a dense file that a run wrote, if that is a user's own: the upload may be gone.
    None if it is not, or if there is no such file."""
    try:
        data = read_bytes(file)
        record, _ = provenance.read(parse(data, file))
        return template_of(data, file.name) if record.own_graph else None
    except EngineError:
        return None


def trace_for(
    template: Template | None,
    network: nn.Module,
    sample: Tensor,
    masks: Mapping[str, Tensor] | None,
    cut: bool,
) -> tuple[Traced, str]:
    """``network`` in the graph of the ``template`` if there is one, or else in a new graph, and
    then why. ``cut``: channels were removed. Raises as ``trace_network`` does."""
    if template is None:
        return trace_network(network, sample, masks), ""
    if cut:
        return afresh(template, network, sample, masks), CHANNELS_REMOVED
    try:
        return trace_into(template, network, sample, masks), ""
    except ExportError as error:
        return afresh(template, network, sample, masks), str(error)


def afresh(
    template: Template, network: nn.Module, sample: Tensor, masks: Mapping[str, Tensor] | None
) -> Traced:
    """``network`` in a new graph whose input and output are called as the template's, unless one of
    its tensors is called so."""
    names = (template.interface.input, template.interface.output)
    if {*names} & {*network.state_dict()} or names[0] == names[1]:
        return trace_network(network, sample, masks)
    return trace_network(network, sample, masks, names)


def _fill(
    graph: Any, state: Mapping[str, np.ndarray], homes: Mapping[str, Home], name: str, classes: int
) -> None:
    values: dict[str, np.ndarray] = {}
    resized = None
    for own, array in state.items():
        if own not in homes:
            if own.endswith(COUNTER):
                continue
            raise ExportError(f"The network has {own}, which {name} lacks.")
        home = homes[own]
        try:
            there = home.to_file(array)
        except ValueError:
            raise ExportError(f"{own} has another shape than in {name}.") from None
        if there.shape != home.shape and (change := differs_by(home.shape, there.shape)):
            # A new classifier is for other classes.
            resized = change if change[0] == classes else None
        if home.name in values and not np.array_equal(values[home.name], there):
            raise ExportError(
                f"{name} stores {home.name!r} once for several parameters, which training made "
                "different."
            )
        values[home.name] = there
    put(graph, values, {home.name for home in homes.values() if home.computed}, resized)


def _layout(home: Home) -> tuple[tuple[str, tuple[int, ...]], ...]:
    steps: list[tuple[str, tuple[int, ...]]] = []
    for change in home.changes:  # others leave every value where it is
        if isinstance(change, Transposed):
            steps.append((TRANSPOSE, tuple(change.order)))
        elif isinstance(change, Reshaped):
            steps.append((RESHAPE, tuple(change.after)))
    return tuple(steps)
