"""Files that were damaged at random: a failed check or an ``EngineError``, never anything else."""

from __future__ import annotations

import json
import random

import onnx
import pytest
import torch
from torch import nn

from prospr_engine.errors import EngineError
from prospr_engine.export import provenance
from prospr_engine.export.export import export_onnx
from prospr_engine.export.verify import verify

CASES = 80
TEXTS = ("", "x", "\0", "é" * 9, "null", "[]", "{}", "1e999", "NaN", "-1", '"a"', "[[]]", "9" * 25)
VALUES = (
    None, True, -1, 0, 1.5, 10**30, "", "x", [], {}, [1], [[]], [None], {"a": 1}, [-1],
    float("nan"), float("inf"), [10**9] * 3, [float("inf")],
)  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 2)
    )
    path = tmp_path_factory.mktemp("fuzz") / "model.onnx"
    export_onnx(model, path, torch.randn(2, 1, 4, 4))
    return path.read_bytes()


def other_bytes(data, draw):
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 3, 10])):
        place = draw.randrange(len(changed))
        kind = draw.choice(["flip", "set", "delete", "insert"])
        if kind == "flip":
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == "set":
            changed[place] = draw.randrange(256)
        elif kind == "delete":
            del changed[place : place + draw.randrange(1, 8)]
        else:
            changed[place:place] = draw.randbytes(draw.randrange(1, 8))
    return bytes(changed[: draw.choice([None, None, draw.randrange(1, len(changed))])])


def messages(message):
    yield message
    for field, content in message.ListFields():
        if field.message_type:
            for part in [content] if hasattr(content, "ListFields") else content:
                yield from messages(part)


def other_fields(data, draw):
    model = onnx.ModelProto.FromString(data)
    message = draw.choice([*messages(model)])
    field = draw.choice([*message.DESCRIPTOR.fields])
    content = getattr(message, field.name)
    values = {field.TYPE_STRING: draw.choice(TEXTS), field.TYPE_BYTES: b"\xff\x00"}
    value = values.get(field.type, draw.choice([-1, 0, 1, 7, 8, 99, 2**30]))
    if isinstance(value, int) and field.type in (field.TYPE_UINT32, field.TYPE_UINT64):
        value = abs(value)
    if isinstance(content, str | bytes | int | float):
        if field.type == field.TYPE_ENUM:
            value = draw.choice(field.enum_type.values).number
        setattr(message, field.name, value)
    elif hasattr(content, "ListFields"):
        draw.choice([message.ClearField, lambda name: getattr(message, name).SetInParent()])(
            field.name
        )
    elif field.message_type:
        content.add().CopyFrom(draw.choice([*content, type(content.add())()]))
    elif len(content):
        content[draw.randrange(len(content))] = value
    else:
        content.append(value)
    return model.SerializeToString()


def other_record(data, draw):
    """A value somewhere in the record is another one, and the seal is right."""
    model = onnx.ModelProto.FromString(data)
    props = {prop.key: prop for prop in model.metadata_props}
    prop = props[draw.choice([key for key in props if key != "prospr.seal"])]
    holder = {"": json.loads(prop.value)}
    place, key = holder, ""
    while draw.random() < 0.7 and isinstance(place[key], dict | list) and place[key]:
        place = place[key]
        key = draw.choice([*place] if isinstance(place, dict) else range(len(place)))
    place[key] = draw.choice(VALUES)
    prop.value = json.dumps(holder[""])
    ours = {key: prop.value for key, prop in props.items() if key.startswith("prospr.")}
    props["prospr.seal"].value = json.dumps(provenance.seal(ours))
    return model.SerializeToString()


def bad_text(data, draw):
    """A byte of a name that no text contains."""
    start = data.index(draw.choice([b"conv2d", b"prospr.layers", b"weight", b"logits"]))
    return data[:start] + b"\xff" + data[start + 1 :]


@pytest.mark.parametrize("change", [other_bytes, other_fields, other_record, bad_text])
def test_a_damaged_file_fails_in_words(change, data, tmp_path):
    draw, path = random.Random(5), tmp_path / "model.onnx"
    verdicts = set()
    for _ in range(CASES):
        path.write_bytes(change(data, draw))
        try:
            proof = verify(path)
        except EngineError as error:
            verdicts.add(type(error).__name__)
        else:
            json.dumps(proof.to_dict())
            verdicts.add(proof.ok)
    assert verdicts & {"ExportError", False}
