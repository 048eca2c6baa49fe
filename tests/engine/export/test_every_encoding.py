"""Every row of the table of encodings: what its files open in, and that they answer rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from export_networks import NETWORKS, build
from onnx.reference import ReferenceEvaluator

import prospr_engine as pe
from prospr_engine.errors import ConfigError
from prospr_engine.export import traced
from prospr_engine.export.encodings import ENCODINGS, PRIMARY
from prospr_engine.export.export import write_file
from prospr_engine.export.traced import trace_network

Saved = tuple[dict[str, Path], torch.nn.Module, np.ndarray, dict[str, torch.Tensor]]


def inputs(shape: tuple[int, ...], count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def write_all(network, shape, masks, folder: Path) -> Saved:
    """The network in every encoding, traced once; and inputs to compare on."""
    once = trace_network(network, inputs(shape, 5, 1), masks)
    batches = [inputs(shape, 32, seed) for seed in (2, 3)]
    for name, row in ENCODINGS.items():
        proof = write_file(once, folder / row.file(), name, {}, batches)
        assert proof.ok
    files = {name: folder / row.file() for name, row in ENCODINGS.items()}
    return files, network.eval(), inputs(shape, 7, 4).numpy(), masks


@pytest.fixture(scope="module", params=["small_cnn", "resnet20"])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """A network with batch norms, as after training, and a residual one."""
    shape = (3, 16, 16)
    network = pe.build_model(request.param, shape, 5, 0)
    network.train()
    with torch.no_grad():
        for seed in range(10):
            network(inputs(shape, 16, seed))
    masks = pe.score(network, [], method="magnitude").masks(0.9)
    masks.apply_to(network)
    folder = tmp_path_factory.mktemp(request.param)
    return write_all(network, shape, dict(masks), folder)


def expected(saved: Saved) -> np.ndarray:
    with torch.no_grad():
        return saved[1](torch.from_numpy(saved[2])).numpy()


def in_runtime(path: Path, values: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path)).run(None, {"input": values})[0]


def close(name: str, found: np.ndarray, wanted: np.ndarray) -> bool:
    allowed = {"int8": 0.05, "compact-fp16": 1e-3}.get(name, 1e-5)
    return bool(abs(found - wanted).max() <= allowed * abs(wanted).max())


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_it_answers_as_the_network(name: str, saved: Saved):
    files, _, values, _ = saved
    found = in_runtime(files[name], values)
    assert close(name, found, expected(saved))
    if ENCODINGS[name].lossless:
        assert np.array_equal(found, in_runtime(files["dense"], values))


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_it_is_standard_onnx(name: str, saved: Saved):
    files, _, values, _ = saved
    onnx.checker.check_model(str(files[name]), full_check=ENCODINGS[name].full_check)
    if ENCODINGS[name].full_check:  # what infers no shapes runs in no other implementation
        (found,) = ReferenceEvaluator(str(files[name])).run(None, {"input": values})
        assert close(name, found, expected(saved))


@pytest.mark.parametrize("name", [n for n, row in ENCODINGS.items() if row.full_check])
def test_it_opens_in_openvino(name: str, saved: Saved):
    openvino = pytest.importorskip("openvino")
    files, _, values, _ = saved
    exactly = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(files[name]), "CPU", exactly)
    assert close(name, compiled(values)[0], expected(saved))


@pytest.mark.parametrize("name", list(ENCODINGS))
def test_its_zeros_are_those_of_the_masks(name: str, saved: Saved):
    files, _, _, masks = saved
    weights = ENCODINGS[name].load_reader()(onnx.load(files[name]))
    for layer, mask in masks.items():
        assert weights[layer].shape == tuple(mask.shape)
        assert not weights[layer][~mask.numpy()].any()
    proof = pe.verify(files[name], masks)
    assert proof.ok
    assert proof.zeros_expected == sum(int((~mask).sum()) for mask in masks.values())
    assert proof.zeros == proof.zeros_expected + proof.zeros_kept


@pytest.mark.parametrize("name", list(ENCODINGS))
@pytest.mark.parametrize(
    "saved", ["small_cnn", pytest.param("resnet20", marks=pytest.mark.slow)], indirect=True
)
def test_the_same_network_gives_the_same_bytes(name: str, saved: Saved, tmp_path: Path):
    files, network, _, masks = saved
    shape = saved[2].shape[1:]
    batches = [(inputs(shape, 32, seed), torch.zeros(32)) for seed in (2, 3)]
    path = tmp_path / "again.onnx"
    pe.export_onnx(
        network, path, inputs(shape, 1, 9), encoding=name, masks=masks, calibration=batches
    )
    assert path.read_bytes() == files[name].read_bytes()


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_of_every_kind(name: str, tmp_path: Path):
    network, shape, masks = build(name)
    files, _, values, _ = write_all(network, shape, masks, tmp_path)
    with torch.no_grad():
        wanted = network(torch.from_numpy(values)).numpy()
    for encoding, path in files.items():
        assert close(encoding, in_runtime(path, values), wanted), encoding


class Ugly(torch.nn.Module):
    """Tensors that are scalars, have no elements, are all zeros, or are not floats."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(2.0))
        self.nothing = torch.nn.Parameter(torch.zeros(0, 3))
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.off = torch.nn.Linear(4, 4)
        self.register_buffer("order", torch.tensor([2, 0, 1, 3]))
        self.register_buffer("minus", -torch.zeros(4))
        with torch.no_grad():
            self.off.weight.zero_()
            self.off.bias.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(x) * self.scale)[:, self.order] + self.minus
        return x + self.off(x) + torch.cat([self.nothing.sum(0), torch.zeros(1)])


def test_ugly_tensors(tmp_path: Path):
    torch.manual_seed(0)
    network = Ugly()
    files, _, values, _ = write_all(network, (4,), None, tmp_path)
    with torch.no_grad():
        wanted = network(torch.from_numpy(values)).numpy()
    for encoding, path in files.items():
        assert close(encoding, in_runtime(path, values), wanted), encoding


@pytest.mark.parametrize(
    "name", [n for n, row in ENCODINGS.items() if row.lossless and n != PRIMARY]
)
def test_a_layer_without_weights_takes_no_space(name: str, tmp_path: Path):
    shape = (3, 16, 16)
    network = pe.build_model("small_cnn", shape, 5, 0)
    masks = dict(pe.score(network, [], method="magnitude").masks(0.9))

    def size(folder: str) -> int:
        once = trace_network(network, inputs(shape, 5, 1), masks)
        path = tmp_path / folder
        assert write_file(once, path, name, {}, []).ok
        return path.stat().st_size

    pe.Masks(masks).apply_to(network)
    before = size("some")
    largest = max(masks, key=lambda layer: masks[layer].numel())
    kept = int(masks[largest].sum())
    masks[largest] = torch.zeros_like(masks[largest])
    pe.Masks(masks).apply_to(network)
    assert size("none") < before - 4 * kept  # their values, and some of their places


@pytest.mark.parametrize("bias", [True, False])
def test_layers_of_one_channel(bias: bool, tmp_path: Path):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3, bias=bias),
        torch.nn.Flatten(), torch.nn.Linear(16, 1), torch.nn.Linear(1, 3),
    )  # fmt: skip
    files, _, _, _ = write_all(network, (1, 8, 8), None, tmp_path)
    assert list(files) == list(ENCODINGS)
    assert all(pe.verify(path).ok for path in files.values())


def test_tracing_happens_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    calls = []
    real = traced.trace
    monkeypatch.setattr(traced, "trace", lambda *args: calls.append(1) or real(*args))
    config = pe.RunConfig(
        model="mlp",
        method="magnitude",
        epochs=0,
        encodings=tuple(ENCODINGS),
        loading=pe.LoadingConfig(train_limit=100, test_limit=50),
    )
    result = pe.run(config, out=tmp_path / "out")
    assert list(result.exports) == ["dense", *sorted(set(ENCODINGS) - {"dense"})]
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        (None, "give calibration=batches"),
        ([], "give calibration=batches"),
        ([torch.zeros(2, 3, 4, 4)], r"tensors \(N, 1, 8, 8\)"),
        ([torch.full((2, 1, 8, 8), float("nan"))], "finite"),
        ([np.zeros((2, 1, 8, 8), np.float32)], "give tensors"),
    ],
)
def test_int8_needs_images(calibration, words: str, tmp_path: Path):
    network = pe.build_model("mlp", (1, 8, 8), 10, 0)
    with pytest.raises(ConfigError, match=words):
        pe.export_onnx(
            network,
            tmp_path / "a.onnx",
            torch.zeros(1, 1, 8, 8),
            encoding="int8",
            calibration=calibration,
        )
    assert not list(tmp_path.iterdir())
