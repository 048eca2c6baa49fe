"""Weights that somebody brings: what fits is loaded as it is, what does not is told by name."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from fuzzing import fuzzed
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save, save_file

from prospr_engine.config import RunConfig
from prospr_engine.errors import ConfigError, EngineError, ModelError
from prospr_engine.io.tensors import save_tensors
from prospr_engine.io.tokens import token
from prospr_engine.models.build import build, build_noted
from prospr_engine.models.imports import header, numbers
from prospr_engine.models.imports.header import TensorInfo, read_header
from prospr_engine.pipeline.setup import check, prepare

SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture
def write(tmp_path: Path):
    """Writes tensors as a safetensors file, and returns its path."""

    def make(state, name="mine.safetensors", **options) -> str:
        save_file({k: v.contiguous() for k, v in state.items()}, tmp_path / name, **options)
        return str(tmp_path / name)

    return make


@pytest.fixture
def trained():
    """The tensors of a small network that somebody trained: none is as it was built."""
    model = build("small_cnn", SHAPE, CLASSES, seed=99)
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.rand(tensor.shape, generator=generator)
        if tensor.is_floating_point()
        else torch.full_like(tensor, 7)
        for name, tensor in model.state_dict().items()
    }


def own(file: str, model="small_cnn", shape=SHAPE, classes=CLASSES):
    return build(model, shape, classes, weights=file).state_dict()


def refused(file: str, *sentences: str, **how) -> str:
    with pytest.raises(ModelError) as error:
        own(file, **how)
    output = str(error.value)
    for sentence in sentences:
        assert sentence in output
    assert str(Path(file).parent) not in output
    return output


def test_every_tensor_is_taken_over(write, trained) -> None:
    model = build("small_cnn", SHAPE, CLASSES, weights=write(trained))
    assert model.training
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, trained[name]), name


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "model._orig_mod.module."])
def test_what_frameworks_put_before_names_does_not_matter(write, trained, prefix) -> None:
    state = own(write({prefix + name: tensor for name, tensor in trained.items()}))
    assert all(torch.equal(state[name], trained[name]) for name in trained)


@pytest.mark.parametrize("prefix", ["net.", "classifier.backbone.", "0."])
def test_a_prefix_that_all_names_share_does_not_matter(write, trained, prefix) -> None:
    state = trained
    loaded = own(write({prefix + name: tensor for name, tensor in state.items()}))
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_whole_numbers_may_be_stored_as_floats(write, trained) -> None:
    state = trained
    assert any(not tensor.is_floating_point() for tensor in state.values())
    loaded = own(write({name: tensor.float() for name, tensor in state.items()}))
    for name, tensor in state.items():
        assert torch.equal(loaded[name], tensor)
        assert loaded[name].dtype == tensor.dtype
    counter = next(name for name, tensor in state.items() if not tensor.is_floating_point())
    half = {**{name: tensor.float() for name, tensor in state.items()}, counter: torch.tensor(1.5)}
    refused(write(half), counter, "whole numbers")


def test_tensors_too_many_are_called_that(write, trained) -> None:
    more = {"ema.decay": torch.zeros(1), "ema.step": torch.zeros(1)}
    text = refused(write({**trained, **more}), "2 tensors more", "without those")
    assert "image size" not in text


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(write, trained, dtype) -> None:
    given = {n: t.to(dtype) if t.is_floating_point() else t for n, t in trained.items()}
    state = own(write(given))
    for name, tensor in state.items():
        assert tensor.dtype == trained[name].dtype
        assert torch.equal(tensor, given[name].to(tensor.dtype))


def test_old_files_without_the_counters_of_batch_norm(write, trained) -> None:
    old = {name: t for name, t in trained.items() if not name.endswith("num_batches_tracked")}
    state = own(write(old))
    assert len(old) < len(state)
    assert all(torch.equal(state[name], old[name]) for name in old)


def test_a_torchvision_network(write) -> None:
    name, shape = "torchvision/mobilenet_v3_small", (3, 32, 32)
    state = build(name, shape, 4, seed=1).state_dict()
    loaded = own(write(state), name, shape, 4)
    assert all(torch.equal(loaded[n], state[n]) for n in state)


def test_what_the_software_wrote_itself_loads_too(tmp_path: Path, trained) -> None:
    label = {"model": "small_cnn", "classes": list("0123456789"), "transform_input": False}
    save_tensors(tmp_path / "dense.safetensors", trained, label)
    state = own(str(tmp_path / "dense.safetensors"))
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    output = refused(str(tmp_path / "dense.safetensors"), "does not fit mlp", model="mlp")
    assert "It was written for small_cnn; choose that model." in output


def test_missing_unknown_and_misshapen_tensors_are_named(write, trained) -> None:
    state = {name: t for name, t in trained.items() if not name.startswith("1.")}
    state |= {f"extra.{number}": torch.ones(1) for number in range(9)}
    state["6.weight"] = torch.ones(10, 63)
    refused(
        write(state),
        "mine.safetensors does not fit small_cnn",
        "missing 1.0.weight, 1.1.weight, 1.1.bias, 1.1.running_mean and 1.1.running_var",
        "unexpected extra.0, extra.1, extra.2, extra.3 and 5 more",
        "of the wrong shape 6.weight (10×63 instead of 10×64)",
    )


def loaded_with_notes(file: str, model: str, shape=SHAPE):
    network, notes = build_noted(model, shape, CLASSES, weights=file)
    return network.state_dict(), " ".join(notes)


def test_another_number_of_classes(write) -> None:
    theirs = build("resnet20", SHAPE, 100, seed=5).state_dict()
    state, notes = loaded_with_notes(write(theirs), "resnet20")
    fresh = build("resnet20", SHAPE, CLASSES).state_dict()
    classifier = [name for name in theirs if theirs[name].shape[:1] == (100,)]
    assert len(classifier) == 2
    for name, tensor in state.items():
        assert torch.equal(tensor, (fresh if name in classifier else theirs)[name]), name
    assert notes.startswith("The weights are for 100 classes and the data have 10: the classifier")


@pytest.mark.parametrize("kept", [[], ["fc.0.weight", "fc.2.bias"]])
def test_another_classifier(write, kept: list[str]) -> None:
    theirs = build("resnet18", SHAPE, 10, seed=5).state_dict()
    body = {name: tensor for name, tensor in theirs.items() if not name.startswith("fc.")}
    file = write(body | {name: torch.ones(3) for name in kept})
    state, notes = loaded_with_notes(file, "resnet18")
    assert all(torch.equal(state[name], tensor) for name, tensor in body.items())
    assert "no classifier that fits" in notes


def test_other_channels(write) -> None:
    theirs = build("resnet20", (3, 32, 32), 10, seed=5).state_dict()
    state, notes = loaded_with_notes(write(theirs), "resnet20")
    (first,) = [name for name in theirs if theirs[name].shape != state[name].shape]
    assert torch.equal(state[first], theirs[first].sum(1, keepdim=True))
    others = [name for name in theirs if name != first]
    assert all(torch.equal(state[name], theirs[name]) for name in others)
    assert "3 channels and the data have 1: the kernels of the first layer were summed" in notes
    grey = build("resnet20", SHAPE, 10, seed=5).state_dict()
    state, notes = loaded_with_notes(write(grey), "resnet20", (3, 8, 8))
    assert torch.allclose(state[first].sum(1, keepdim=True), grey[first])
    assert "were repeated" in notes


def test_other_images(write) -> None:
    file = write(build("mlp", (1, 28, 28), 10).state_dict())
    refused(file, "1.weight (300×784 instead of 300×64)", "image size", model="mlp")


def test_weights_of_another_network_name_it(write) -> None:
    file = write(build("resnet32", SHAPE, 10).state_dict())
    refused(
        file,
        "These are weights of resnet32 with 10 classes: choose the model resnet32",
        model="resnet20",
    )


def test_one_network_of_several_in_a_file(write, trained) -> None:
    """Lightning and distillation store the teacher, or the loss, beside the network."""
    more = {"teacher.0.weight": torch.ones(3), "criterion.weight": torch.ones(2)}
    file = write({f"model.{name}": tensor for name, tensor in trained.items()} | more)
    state, notes = loaded_with_notes(file, "small_cnn")
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    assert notes == "2 other tensors of the file belong to no part of it."


def test_two_networks_in_one_file(write, trained) -> None:
    both = trained | {f"module.{name}": tensor.clone() for name, tensor in trained.items()}
    refused(write(both), "twice, as ", "Save the state_dict of one network only")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_no_numbers(write, trained, value) -> None:
    trained["1.0.weight"][3, 2, 1, 0] = value
    refused(write(trained), "values too large for float32, in 1.0.weight")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_every_number_is_looked_at_in_parts(write, monkeypatch, dtype, value) -> None:
    monkeypatch.setattr(numbers, "AT_ONCE", 7)
    fine = {
        "a": torch.full((5, 5), -torch.finfo(dtype).max if dtype != torch.float64 else 3e38).to(
            dtype
        ),
        "none": torch.zeros(0, 3, dtype=dtype),
        "count": torch.tensor(-1),
    }
    path = Path(write(fine))
    numbers.check_numbers(path, read_header(path, "mine"), "mine")
    for place in (0, 6, 7, 24):
        last = torch.zeros(25, dtype=dtype)
        last[place] = value
        path = Path(write(fine | {"b": last}))
        with pytest.raises(ModelError, match=r"mine contains NaN or infinite.*in b"):
            numbers.check_numbers(path, read_header(path, "mine"), "mine")


def test_values_too_large_for_float32(write, trained) -> None:
    trained["6.bias"] = trained["6.bias"].double() * 1e300
    refused(write(trained), "too large for float32, in 6.bias")


def test_quantised_weights(write, trained) -> None:
    trained["6.weight"] = trained["6.weight"].to(torch.int8)
    refused(write(trained), "6.weight as I8", "give the weights as float32")


def test_weights_that_give_no_numbers(write, trained) -> None:
    trained["1.1.running_var"] -= 100
    refused(write(trained), "not finite")


class Bomb:
    """Says so if anybody unpickles it."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize(
    "content",
    [pickle.dumps(Bomb()), pickle.dumps(Bomb(), 0)],
    ids=["pickle", "text pickle"],
)
@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.safetensors"])
def test_pickles_are_never_opened_and_the_error_names_a_remedy(tmp_path, content, name) -> None:
    (tmp_path / name).write_bytes(content)
    refused(str(tmp_path / name), "would run a program", "was not opened")
    # At once, and not after the data were read.
    with pytest.raises(ModelError, match="would run a program") as error:
        check(RunConfig(weights=str(tmp_path / name)))
    assert 'torch.save(model.state_dict(), "weights.pt")' in error.value.code


def raw(rows, numbers=b"", length=None) -> bytes:
    text = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + numbers


def row(shape=(1,), place=(0, 4), dtype="F32", **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(place)} | more


def zip_of_one() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("mine.safetensors", b"x")
    return stream.getvalue()


def test_what_holds_no_network_is_not_to_be_loaded(tmp_path) -> None:
    for content in (b"", b"\0" * 100):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(ModelError) as output:
            read_header(tmp_path / "x.safetensors", "mine")
        assert "load it" not in str(output.value)
    (tmp_path / "x.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"^mine is empty\. Write or upload the file again\.$"):
        read_header(tmp_path / "x.safetensors", "mine")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><title>404</title>", "is a web page"),
        (zip_of_one(), "is a zip archive"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "as Keras writes it"),
        (b"\x08\x07\x12\x07pytorch", "is an ONNX model"),
        (b"\0" * 100, "of an unknown type; weights are given as safetensors"),
        (raw({"a": row()}, b"\0" * 4, length=1 << 30), "claims 1,074\N{NO-BREAK SPACE}MB"),
        (raw({"a": row()}, b"\0" * 4, length=5000), "ends within its header"),
        (raw(b"{]}"), "not JSON"),
        (raw(b'{"a":' * 100_000), "not JSON"),
        (raw(b'{"a": 1, "a": 2}'), "not JSON with unique names"),
        (raw({"a": row()}, b"\0" * 3), "is truncated"),
        (raw({"a": row()}, b"\0" * 5), "has data after its last tensor"),
        (raw({"a": row(), "b": row()}, b"\0" * 4), "overlap"),
        (raw({"a": row(place=(4, 8))}, b"\0" * 8), "overlap or leave gaps"),
        (raw({"a": row(place=(-4, 0))}), "does not follow the format"),
        (raw({"a": row(shape=(-1, -1))}, b"\0" * 4), "does not follow the format"),
        (raw({"a": row(shape=(True,))}, b"\0" * 4), "does not follow the format"),
        (raw({"a": row(shape=(1 << 40, 1 << 40))}, b"\0" * 4), "does not fit its data"),
        (raw({"a": row(shape=(1,) * 100)}, b"\0" * 4), "a has 100 dimensions"),
        (raw({"a": row(dtype="Q9")}, b"\0" * 4), "unsupported number format"),
        (raw({"a": row(dtype=["F32"])}, b"\0" * 4), "does not follow the format"),
        (raw({"a": {"dtype": "F32"}}), "does not follow the format"),
        (raw({"a": 3}), "does not follow the format"),
        (raw({"a\n": row()}, b"\0" * 4), "too long or unprintable"),
        (raw({"a" * 201: row()}, b"\0" * 4), "too long or unprintable"),
        (raw({}), "contains no tensors"),
        (raw({"__metadata__": {"prospr": "{"}}), "contains no tensors"),
        (raw({"__metadata__": [1], "a": row()}, b"\0" * 4), "does not follow the format"),
    ],
    ids=[
        "empty",
        "web page",
        "zip",
        "Keras",
        "ONNX",
        "zeros",
        "long header",
        "cut-off header",
        "no JSON",
        "deep JSON",
        "a name twice",
        "too few bytes",
        "too many bytes",
        "overlap",
        "gap",
        "negative place",
        "negative shape",
        "bool shape",
        "huge shape",
        "100 dimensions",
        "unknown dtype",
        "dtype is a list",
        "no shape",
        "no row",
        "line break in a name",
        "long name",
        "no tensor",
        "metadata only",
        "metadata no object",
    ],
)
def test_files_that_are_something_else_or_damaged(tmp_path, content, sentence) -> None:
    (tmp_path / "mine.safetensors").write_bytes(content)
    refused(str(tmp_path / "mine.safetensors"), "mine.safetensors", sentence)


def test_too_many_tensors(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(header, "MAX_TENSORS", 1)
    (tmp_path / "x.safetensors").write_bytes(raw({"a": row(), "b": row(place=(4, 8))}, b"\0" * 8))
    refused(str(tmp_path / "x.safetensors"), "claims 2 tensors")


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
@fuzzed(200)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory, tail, at, byte):
    content = bytearray(save({"a": torch.ones(3, 2), "b": torch.zeros(4)}) + tail)
    content[at % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(content)
    try:
        found = read_header(path, "any.safetensors")
    except EngineError:
        return
    assert sum(info.numbers for info in found.tensors.values()) < len(content)


def test_the_header_agrees_with_the_reference_reader(write, trained) -> None:
    found = read_header(Path(write(trained)), "mine")
    assert found.tensors.keys() == trained.keys()
    assert found.tensors["6.weight"] == TensorInfo("F32", (10, 64))
    assert found.label == {}


@pytest.mark.parametrize("name", ["gone.safetensors", "x" * 5000 + ".safetensors", "a\0.pt", "."])
def test_files_that_are_not_there(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ModelError, ConfigError)):
        build("mlp", SHAPE, CLASSES, weights=name)


def test_an_upload_by_its_token(write, trained, tmp_path, monkeypatch) -> None:
    file = Path(write(trained))
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.rename(tmp_path / f"{digest}.safetensors")
    monkeypatch.setenv("PROSPR_UPLOADS", str(tmp_path))
    named = token(digest, "My weights.safetensors")
    prepared = prepare(RunConfig(weights=named))
    assert prepared.weights == f"sha256:{digest}"
    state = prepared.model.state_dict()
    assert all(torch.equal(state[name], trained[name]) for name in trained)
    refused(named, "My weights.safetensors does not fit mlp", model="mlp")


def test_the_settings_take_files_and_refuse_nonsense() -> None:
    assert RunConfig(weights="my.safetensors").weights == "my.safetensors"
    assert RunConfig(weights=token("0" * 64, "a b.safetensors")).fingerprint
    with pytest.raises(
        ConfigError, match=r"a file \(\.safetensors, .*\.ckpt\) \(did you mean 'fresh'"
    ):
        RunConfig(weights="freshh")
    with pytest.raises(ConfigError, match="give text"):
        RunConfig(weights=3)
