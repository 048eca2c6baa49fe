"""Weights in files of PyTorch: what torch.save writes is read, and nothing in a file is run."""

from __future__ import annotations

import argparse
import io
import pickle
import struct
import warnings
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fuzzing import fuzzed
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from prospr_engine.config import RunConfig
from prospr_engine.errors import EngineError, ModelError, ResourceError
from prospr_engine.io.file_type import kind_of
from prospr_engine.models.build import build
from prospr_engine.models.imports.header import read_header
from prospr_engine.models.imports.refusals import REFUSALS, check_kind
from prospr_engine.models.imports.state_dict import convert, is_state_file, weights_file
from prospr_engine.models.imports.unpickle import write_weights
from prospr_engine.pipeline.setup import check

SHAPE, CLASSES = (1, 8, 8), 10
TRACE = "planted.txt"


@pytest.fixture
def trained() -> dict[str, torch.Tensor]:
    return dict(build("small_cnn", SHAPE, CLASSES, seed=99).state_dict())


def save(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def read(path: Path) -> dict[str, torch.Tensor]:
    """What the file is converted to, by safetensors' own reader; without the other process."""
    to = path.with_suffix(".converted")
    write_weights(str(path), path.name, str(to))
    read_header(to, "the converted file")
    return load_file(to)


def equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], tensor) and found[name].dtype == tensor.dtype
        for name, tensor in expected.items()
    )


def with_optimiser(state: dict[str, torch.Tensor]) -> dict[str, Any]:
    model = build("small_cnn", SHAPE, CLASSES)
    optimiser = torch.optim.Adam(model.parameters())
    model(torch.zeros(2, *SHAPE)).sum().backward()
    optimiser.step()
    return {"model": state, "optimizer": optimiser.state_dict(), "epoch": 3}


LAYOUTS: dict[str, Callable[[dict[str, torch.Tensor]], Any]] = {
    "plain": dict,
    "ordered": OrderedDict,
    "parameters": lambda s: {
        n: nn.Parameter(t, requires_grad=t.is_floating_point()) for n, t in s.items()
    },
    "with optimiser": with_optimiser,
    "state_dict": lambda s: {"state_dict": s, "best": torch.tensor(0.5)},
    "lightning": lambda s: {
        "epoch": 1,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": s,
        "callbacks": {},
        "optimizer_states": [{"state": {}}],
        "hyper_parameters": {"lr": 0.1},
    },
    "nested": lambda s: {"checkpoint": {"net": {"state_dict": s}}},
    "ema beside": lambda s: {"model": s, "model_ema": {n: t * 0 for n, t in s.items()}},
    "namespace": lambda s: {"model": s, "args": argparse.Namespace(lr=0.1)},
    "numpy number": lambda s: {"state_dict": s, "best": np.float64(0.5)},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_weights_are_found(tmp_path: Path, trained, layout: str, zipped: bool) -> None:
    content = LAYOUTS[layout](trained)
    file = save(tmp_path / "x.pth", content, _use_new_zipfile_serialization=zipped)
    assert is_state_file(file)
    assert equal(read(file), trained)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_precisions_stay(tmp_path: Path, trained, dtype: torch.dtype) -> None:
    half = {n: t.to(dtype) if t.is_floating_point() else t for n, t in trained.items()}
    assert equal(read(save(tmp_path / "x.pt", half)), half)


def test_tied_transposed_and_empty_tensors(tmp_path: Path) -> None:
    weight = torch.arange(6.0).reshape(2, 3)
    tied = {"a": weight, "b": weight, "c": weight.T, "d": weight[:, 1], "e": torch.ones(0, 3)}
    assert equal(read(save(tmp_path / "x.pt", tied)), tied)


def test_the_same_file_gives_the_same_bytes(tmp_path: Path, trained) -> None:
    file = save(tmp_path / "x.pt", trained)
    for name in ("1", "2"):
        write_weights(str(file), "x.pt", str(tmp_path / name))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_a_network_in_a_wrapper_is_loaded_into_the_network(tmp_path: Path, trained) -> None:
    """Through the process with limits, as a run does it; for the second time from what the first
    one wrote."""
    model = build("small_cnn", SHAPE, CLASSES)
    model.load_state_dict(trained)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parallel = nn.DataParallel(model)
    file = save(tmp_path / "x.ckpt", {"state_dict": parallel.state_dict()})
    check(RunConfig(weights=str(file)))
    state = build("small_cnn", SHAPE, CLASSES, weights=str(file)).state_dict()
    assert equal(dict(state), trained)
    assert weights_file(str(file)) == weights_file(str(file))
    label = read_header(weights_file(str(file)), "x").label
    assert label == {"taken_from": "state_dict"}


# Hostile and strange files


class Payload:
    """Leaves a trace if anybody unpickles it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __reduce__(self):
        return (Path.touch, (self.folder / TRACE,))


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


def refused(path: Path, *sentences: str) -> ModelError:
    with pytest.raises(ModelError) as error:
        read(path) if is_state_file(path) else read_header(path, path.name)
    for sentence in (path.name, *sentences):
        assert sentence in str(error.value)
    assert str(path.parent) not in str(error.value)
    assert not (path.parent / TRACE).exists()
    return error.value


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
def test_a_pickled_network(tmp_path: Path, zipped: bool) -> None:
    file = save(tmp_path / "x.pt", Network(), _use_new_zipfile_serialization=zipped)
    error = refused(file, "not only weights", "Network", "was not opened")
    assert "torch.load('x.pt', weights_only=False)" in error.code


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "old format"])
@pytest.mark.parametrize("beside", [True, False], ids=["beside weights", "alone"])
def test_a_planted_program(tmp_path: Path, trained, zipped: bool, beside: bool) -> None:
    planted = Payload(tmp_path)
    content = {"state_dict": trained, "extra": planted} if beside else planted
    file = save(tmp_path / "x.pt", content, _use_new_zipfile_serialization=zipped)
    refused(file, "not only weights", "was not opened")


def test_planted_pickles_of_every_protocol(tmp_path: Path) -> None:
    for protocol in range(6):
        (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": [Payload(tmp_path)]}, protocol))
        refused(tmp_path / "x.pkl", "a pickle", "would run a program")


def test_programs_of_pytorch(tmp_path: Path) -> None:
    """Written by PyTorch itself; recognised whatever they are called."""
    network, x = Network().eval(), torch.zeros(1, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), tmp_path / "script.pt")
        torch.jit.save(torch.jit.trace(network, x), tmp_path / "trace.safetensors")
        with torch.package.PackageExporter(tmp_path / "package.pth") as package:
            package.extern("**")
            package.save_pickle("model", "model.pkl", {"a": Payload(tmp_path)})
    torch.export.save(torch.export.export(network, (x,)), tmp_path / "program.bin")
    for name, kind in (
        ("script.pt", "a TorchScript program"),
        ("trace.safetensors", "a TorchScript program"),
        ("package.pth", "a package of PyTorch code"),
        ("program.bin", "exported by PyTorch (.pt2)"),
    ):
        assert refused(tmp_path / name, kind, "would run a program").code


def test_models_of_other_programs(tmp_path: Path) -> None:
    def archive(*names: str) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            for name in names:
                file.writestr(name, '{"class_name": "Lambda", "code": "evil"}')
        return stream.getvalue()

    for content, kind, code in (
        (
            archive("metadata.json", "config.json", "model.weights.h5"),
            "Keras",
            "load_model('x.pt')",
        ),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, "HDF5", 'format="onnx"'),
        (archive("m/saved_model.pb"), "SavedModel", "tf2onnx.convert --saved-model"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 50, "TensorFlow Lite", "--tflite 'x.pt'"),
        (b"GGUF\x03\0\0\0", "GGUF", "state_dict"),
        (zlib.compress(bytes(range(256))), "joblib", "weights_only=False"),
    ):
        (tmp_path / "x.pt").write_bytes(content)
        error = refused(tmp_path / "x.pt", kind)
        assert code in error.code
        assert str(error).endswith(":")


@pytest.mark.parametrize("kind", REFUSALS)
def test_every_refusal_is_a_sentence_with_code(kind: str) -> None:
    with pytest.raises(ModelError, match=r"^f\.bin is .*\. .*\. .*:$") as error:
        check_kind(kind, "f.bin")
    assert error.value.code
    assert "{file}" not in error.value.code


def rebuilt(tensor: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    return torch.as_strided(tensor, size, stride)


def test_tensors_that_claim_more_than_is_there(tmp_path: Path) -> None:
    big = {"a": rebuilt(torch.ones(1), (10**5, 10**5), (0, 0))}
    file = save(tmp_path / "x.pt", big)
    assert file.stat().st_size < 3000
    refused(file, "a claims", "4 bytes exist")
    many = {f"a{number}": torch.ones(5000)[:] for number in range(2)}
    shared = {f"a{number}": many["a0"] for number in range(100)}
    refused(save(tmp_path / "x.pt", shared), "its tensors claim")


def test_an_archive_that_unpacks_to_more(tmp_path: Path, trained) -> None:
    file = save(tmp_path / "plain.pt", {"a": torch.zeros(3_000_000)})
    with zipfile.ZipFile(file) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    assert (tmp_path / "x.pt").stat().st_size < 50_000
    refused(tmp_path / "x.pt", "would unpack to 12")


def test_storages_that_claim_more_than_memory(tmp_path: Path) -> None:
    """In the old format the size is in the pickle: only the limits of the process stop it."""
    file = save(tmp_path / "x.pt", {"a": torch.ones(7)}, _use_new_zipfile_serialization=False)
    content = file.read_bytes()
    # The number of elements of the storage, as BININT1, becomes 2**40, as LONG1.
    at = content.index(b"cpuq") + 4
    at = content.index(b"K\x07", at)
    claim = b"\x8a\x06" + struct.pack("<Q", 1 << 40)[:6]
    file.write_bytes(content[:at] + claim + content[at + 2 :])
    assert is_state_file(file)
    with pytest.raises((ResourceError, ModelError)):
        convert(file, "x.pt", tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (torch.ones(3), "a single tensor"),
        ([torch.ones(3)], "of type list"),
        ({}, "0 entries"),
        ({"epoch": 3}, "1 entry"),
        ({1: torch.ones(2)}, "no tensors by name"),
        ({"optimizer": {"state": torch.ones(2)}}, "no tensors by name"),
        ({"a" * 201: torch.ones(1)}, "too long or unprintable"),
        ({"a\n": torch.ones(1)}, "too long or unprintable"),
        ({"a": torch.ones((1,) * 9)}, "9 dimensions"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "complex64"),
        ({"a": torch.eye(2).to_sparse()}, "sparse"),
        ({"a": torch.ones(2, device="meta")}, "no values"),
    ],
)
def test_what_contains_no_weights(tmp_path: Path, content: Any, sentence: str) -> None:
    refused(save(tmp_path / "x.pt", content), sentence)


def test_endless_checkpoints(tmp_path: Path) -> None:
    content: dict[str, Any] = {"a": torch.ones(1)}
    for _ in range(50):
        content = {"model": content, "net": content}
    refused(save(tmp_path / "x.pt", content), "no tensors by name")


BASE = io.BytesIO()
torch.save({"a": torch.ones(3, 2), "b": torch.zeros(4)}, BASE)
OLD = io.BytesIO()
torch.save({"a": torch.ones(3, 2)}, OLD, _use_new_zipfile_serialization=False)


# What it found: zipfile answers whether a file is a zip by an error, too.
@example(BASE, BASE.getvalue().rindex(b"PK\x06\x07") + 16, b"\x02")
@given(st.sampled_from([BASE, OLD]), st.integers(0, 5000), st.binary(min_size=1, max_size=4))
@fuzzed(150)
def test_a_damaged_file_is_read_or_refused_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, base: io.BytesIO, at: int, data: bytes
) -> None:
    content = bytearray(base.getvalue())
    at %= len(content)
    content[at : at + len(data)] = data
    if kind_of(io.BytesIO(content)) != "torch":
        return
    folder = tmp_path_factory.getbasetemp()
    (folder / "any.pt").write_bytes(content)
    try:
        write_weights(str(folder / "any.pt"), "any.pt", str(folder / "any.out"))
    except EngineError:
        return
    except MemoryError:
        return
    read_header(folder / "any.out", "any.out")
