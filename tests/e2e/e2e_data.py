"""Files that visitors bring."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image


def class_folders(images: int = 40) -> bytes:
    """A zip, always the same: two classes that a network can tell apart, so many images of each,
    and a file that is no image."""
    random = np.random.default_rng(0)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, column in (("left", 2), ("right", 10)):
            for number in range(images):
                pixels = random.integers(0, 80, (16, 16), dtype=np.uint8)
                pixels[:, column : column + 4] = 230
                picture = io.BytesIO()
                Image.fromarray(pixels).save(picture, "png")
                archive.writestr(_entry(f"{name}/{number}.png"), picture.getvalue())
        archive.writestr(_entry("left/notes.txt"), "not an image")
    return file.getvalue()


def pickled() -> bytes:
    """What an older torch.save leaves: a file that runs code when it is opened."""
    return pickle.dumps({"weights": [0.0] * 10})


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"shapes/{name}")  # without the time of day


def network(classes: int = 10) -> bytes:
    """A small convolutional network as ONNX, always the same, with names of its own."""
    random = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        bound = np.sqrt(6 / np.prod(shape[1:])) if shape[1:] else 0.0
        values = random.uniform(-bound, bound, shape).astype(np.float32)
        return numpy_helper.from_array(values, name)

    tensors = [
        weights("stem.filters", 8, 1, 3, 3),
        weights("stem.offsets", 8),
        weights("body.filters", 16, 8, 3, 3),
        weights("body.offsets", 16),
        weights("head.matrix", classes, 16),
        weights("head.offsets", classes),
    ]
    nodes = [
        helper.make_node("Conv", ["photo", "stem.filters", "stem.offsets"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "body.filters", "body.offsets"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "head.matrix", "head.offsets"], ["verdict"], transB=1),
    ]
    shapes = {"photo": ["n", 1, 8, 8], "verdict": ["n", classes]}
    ends = {
        name: helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    }
    graph = helper.make_graph(nodes, "mine", [ends["photo"]], [ends["verdict"]], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return made.SerializeToString()
