"""New weights for imported networks: every kind of tensor gets what its use asks for."""

from __future__ import annotations

import io

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torchvision.models import VisionTransformer

from prospr_engine.models.imports.fresh import redraw
from prospr_engine.models.imports.onnx.load import import_network


def vision_transformer() -> VisionTransformer:
    torch.manual_seed(0)
    network = VisionTransformer(32, 4, 2, 2, 64, 96, num_classes=5).eval()
    with torch.no_grad():  # as if trained: nothing is as it was drawn
        for parameter in network.parameters():
            parameter.add_(3.0 + torch.randn_like(parameter))
    return network


def exported(network: torch.nn.Module, shape: tuple[int, ...]) -> onnx.ModelProto:
    stream = io.BytesIO()
    torch.onnx.export(network, (torch.randn(2, *shape),), stream, dynamo=False,
                      input_names=["x"], dynamic_axes={"x": {0: "n"}})  # fmt: skip
    return onnx.load_from_string(stream.getvalue())


def drawn(model: onnx.ModelProto) -> dict[str, torch.Tensor]:
    network = import_network(model, "net.onnx").network
    with torch.random.fork_rng():
        torch.manual_seed(1)
        redraw(network)
    return {name: p.detach() for name, p in network.named_parameters()}


@pytest.mark.filterwarnings("ignore")  # of the older exporter
def test_a_vision_transformer_begins_as_its_authors_let_it():
    state = drawn(exported(vision_transformer(), (3, 32, 32)))
    (token,) = (v for name, v in state.items() if v.shape == (1, 1, 64) and "class" in name)
    (positions,) = (v for v in state.values() if v.shape == (1, 65, 64))
    # N(0, 0.02²), in torchvision and in DeiT.
    assert positions.std().item() == pytest.approx(0.02, rel=0.05)
    assert abs(positions.mean().item()) < 0.001
    assert token.std().item() == pytest.approx(0.02, rel=0.4)
    for name, values in state.items():
        if values.ndim == 1:  # normalisations and biases
            assert set(values.tolist()) <= {0.0, 1.0}, name
        elif values is not token and values is not positions:
            fan_in = values[0].numel()
            assert values.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.15), name


def graph(*nodes, **tensors: np.ndarray) -> onnx.ModelProto:
    """Nodes from "x", 8 × 3 pixels of 4 channels (which are last), to "f", and a linear layer after
    them."""
    head = np.ones((96, 5), np.float32)
    own = helper.make_graph(
        [*nodes, helper.make_node("Flatten", ["f"], ["g"]),
         helper.make_node("MatMul", ["g", "head"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 8, 3, 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 5))],
        [numpy_helper.from_array(values, name) for name, values in
         {**tensors, "head": head}.items()],
    )  # fmt: skip
    return helper.make_model(own, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize(
    ("operator", "shape", "mean", "std"),
    [
        ("Mul", (8, 1, 1), 1.0, 0.0),  # the scale of a residual branch
        ("Div", (8, 1, 1), 1.0, 0.0),
        ("Add", (8, 1, 1), 0.0, 0.0),  # a bias
        ("Sub", (8, 1, 1), 0.0, 0.0),
        ("Add", (8, 3, 4), 0.0, 0.02),  # embeddings of positions
        ("PRelu", (8, 1, 1), 0.25, 0.0),
        ("Max", (8, 3, 4), 7.0, 2.0),  # of no known use: as it was
    ],
)
def test_a_tensor_in_no_layer_is_drawn_by_its_use(operator, shape, mean, std):
    values = np.random.default_rng(0).normal(7.0, 2.0, shape).astype(np.float32)
    first = helper.make_node("Relu", ["x"], ["r"])
    model = graph(first, helper.make_node(operator, ["r", "own"], ["f"]), own=values)
    (tensor,) = (v for v in drawn(model).values() if v.shape != (5, 96))
    assert tensor.mean().item() == pytest.approx(mean, abs=0.7 if std > 1 else 0.01)
    assert tensor.std().item() == pytest.approx(std, rel=0.25, abs=1e-6)


def test_products_in_no_layer_are_drawn_like_linear_layers():
    """A matrix for each channel, from either side."""
    values = np.random.default_rng(0).normal(7.0, 2.0, (8, 4, 4)).astype(np.float32)
    left = np.random.default_rng(0).normal(7.0, 2.0, (8, 3, 3)).astype(np.float32)
    state = drawn(graph(helper.make_node("MatMul", ["x", "right"], ["m"]),
                        helper.make_node("MatMul", ["left", "m"], ["f"]),
                        right=values, left=left))  # fmt: skip
    for name, fan_in in (("right", 4), ("left", 3)):
        (tensor,) = (v for key, v in state.items() if name in key)
        assert tensor.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.25)
        assert abs(tensor.mean().item()) < 0.25


def test_single_numbers_stay():
    node = helper.make_node("Mul", ["x", "own"], ["f"])
    network = import_network(graph(node, own=np.full((1, 1, 1), 7.0, np.float32)), "n").network
    x = torch.randn(2, 4, 8, 3)  # the file's channels are last
    with torch.no_grad():
        redraw(network)
        head = dict(network.named_parameters())
        (weight,) = (v for v in head.values() if v.shape == (5, 96))
        torch.testing.assert_close(
            network.eval()(x), 7.0 * x.permute(0, 2, 3, 1).flatten(1) @ weight.T
        )
