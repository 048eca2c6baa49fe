"""ONNX files as different exporters write them, and what ONNX Runtime makes of them."""

from __future__ import annotations

import copy
import io
import warnings

import numpy as np
import onnx
import torch

from prospr_engine.export import runtime
from prospr_engine.models.imports.onnx.imported import Imported
from prospr_engine.models.imports.onnx.load import import_network, rebuild


def randomised(network):
    """With statistics and weights of normalisation as training leaves them, so that a mistake with
    any of them shows."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.1)
    return network.eval()


def current(network, x, *, opset=20, optimize=True, free=True) -> onnx.ModelProto:
    """By torch.onnx.export as it is today; with a ``free`` batch size or that of ``x``."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network.eval(),
            (torch.cat([x, x]) if free else x,),
            dynamo=True,
            optimize=optimize,
            opset_version=opset,
            dynamic_shapes=({0: torch.export.Dim("batch")},) if free else None,
            external_data=False,
            verbose=False,
        )
    return program.model_proto


def legacy(network, x, *, opset=17, free=False, **more) -> onnx.ModelProto:
    """By the older exporter, which traces."""
    file = io.BytesIO()
    axes = {"image": {0: "batch"}, "scores": {0: "batch"}} if free else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (x,),
            file,
            dynamo=False,
            opset_version=opset,
            input_names=["image"],
            output_names=["scores"],
            dynamic_axes=axes,
            **more,
        )
    return onnx.load_from_string(file.getvalue())


def answers(model: onnx.ModelProto, x: torch.Tensor, output: int = 0) -> np.ndarray:
    """What ONNX Runtime makes of the images ``x``, one by one."""
    data = model.SerializeToString()
    return np.concatenate([runtime.run(data, [image[None].numpy()])[output] for image in x])


def assert_same_answers(
    model: onnx.ModelProto, x: torch.Tensor, tolerance: float = 1e-4
) -> Imported:
    """Import ``model``, and hold its answers against ONNX Runtime's; every parameter must get a
    gradient, and the skeleton must give the same network again."""
    imported = import_network(model, "net.onnx")
    network = imported.network.eval()
    given = x if not imported.channels_last else x.permute(0, 2, 3, 1)
    expected = answers(model, given)
    with torch.no_grad():
        logits = network(x)
    made = {
        "logits": lambda t: t,
        "softmax": lambda t: t.softmax(1),
        "log_softmax": lambda t: t.log_softmax(1),
        "sigmoid": torch.sigmoid,
    }[imported.output](logits).numpy()
    assert np.isfinite(expected).all()
    assert made.shape == expected.shape == (len(x), imported.classes)
    assert np.abs(made - expected).max() <= tolerance * np.abs(expected).max()

    trained = copy.deepcopy(network).train()
    trained(x).logsumexp(1).sum().backward()
    assert [name for name, p in trained.named_parameters() if p.grad is None] == []

    again = rebuild(imported.skeleton)
    assert list(again.state_dict()) == list(network.state_dict())
    again.load_state_dict(network.state_dict())
    assert torch.equal(again.eval()(x), network.eval()(x))
    return imported


def without_ours(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without what a run adds."""
    left = onnx.ModelProto.FromString(model.SerializeToString())
    props = [prop for prop in left.metadata_props if not prop.key.startswith("prospr.")]
    left.ClearField("metadata_props")
    left.metadata_props.extend(props)
    for node in left.graph.node:
        del node.metadata_props[:]
    return left
