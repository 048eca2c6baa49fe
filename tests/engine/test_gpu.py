"""What only a CUDA device can show. Run by `make test-gpu`."""

from __future__ import annotations

import json
import subprocess
import sys

import own_network
import pytest
import torch
from helpers import NETWORKS, batch, seeded

import prospr_engine as pe
from prospr_engine.data.images import Split
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.network.device import exact_kernels
from prospr_engine.training.loop import Recipe, train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


@pytest.mark.parametrize("name", NETWORKS)
def test_scores_on_the_gpu_are_those_of_the_cpu(name):
    make, shape = NETWORKS[name]
    on_cpu = pe.score(seeded(make), [batch(shape)], momentum=0.5)
    on_gpu = pe.score(seeded(make).cuda(), [batch(shape)], momentum=0.5)
    for parameter, expected in on_cpu.items():
        assert on_gpu[parameter].is_cuda
        torch.testing.assert_close(on_gpu[parameter].cpu(), expected, rtol=1e-9, atol=1e-13)
    masks = on_gpu.masks(0.8)
    assert all(torch.equal(masks[n].cpu(), mask) for n, mask in on_cpu.masks(0.8).items())


@pytest.mark.parametrize("method", list(pe.METHODS))
def test_every_criterion_gives_on_the_gpu_what_it_gives_on_the_cpu(method):
    make, shape = NETWORKS["batch norm"]
    options = {"rounds": 4, "sparsity": 0.8} if pe.METHODS[method].iterative else {}
    on_cpu = pe.score(seeded(make), [batch(shape)], method, **options)
    on_gpu = pe.score(seeded(make).cuda(), [batch(shape)], method, **options)
    for parameter, expected in on_cpu.items():
        torch.testing.assert_close(on_gpu[parameter].cpu(), expected, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("precision", [None, "float32", "float64"])
def test_scores_on_the_gpu_repeat_themselves_to_the_bit(precision):
    model = pe.build_model("resnet20", (3, 32, 32), 10, 0).cuda()
    batches = [batch((3, 32, 32), classes=10, n=64, dtype=torch.float32)]
    first = pe.score(model, batches, precision=precision)
    again = pe.score(model, batches, precision=precision)
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("name", ["resnet20", "vgg16_bn"])
def test_a_float32_network_keeps_on_the_gpu_what_float64_keeps_on_the_cpu(name):
    batches = [batch((3, 32, 32), classes=10, n=32, dtype=torch.float32)]
    model = pe.build_model(name, (3, 32, 32), 10, 0)
    exact = pe.score(model, batches, precision="float64")
    found = pe.score(model.cuda(), batches)
    kept = {name: mask.cpu() for name, mask in found.masks(0.95).items()}
    same = sum(int((kept[name] & mask).sum()) for name, mask in exact.masks(0.95).items())
    assert same >= 0.99 * sum(int(mask.sum()) for mask in kept.values())
    assert found.diagnostics.trusted


def test_channels_are_removed_on_the_gpu_as_on_the_cpu():
    pytest.importorskip("torch_pruning")
    from prospr_engine.structured.shrink import shrink

    model = pe.build_model("resnet20", (3, 16, 16), 10, 0)
    x, y = batch((3, 16, 16), classes=10, n=16, dtype=torch.float32)
    scores = pe.score(model, [(x, y)], "magnitude")
    on_cpu = shrink(model, x, scores, "norm", 0.5)
    scores = pe.score(model.cuda(), [(x, y)], "magnitude")
    on_gpu = shrink(model, x.cuda(), scores, "norm", 0.5)
    assert on_gpu.removed == on_cpu.removed
    assert all(p.is_cuda for p in on_gpu.network.parameters())
    with exact_kernels():
        found = on_gpu.network.eval()(x.cuda()).cpu()
    torch.testing.assert_close(found, on_cpu.network.eval()(x), rtol=1e-3, atol=1e-4)


def test_the_random_state_of_the_gpu_is_untouched():
    make, shape = NETWORKS["batch norm"]
    model = torch.nn.Sequential(seeded(make), torch.nn.Dropout(0.5)).cuda()
    state = torch.cuda.get_rng_state()
    pe.score(model, [batch(shape)])
    assert torch.equal(torch.cuda.get_rng_state(), state)


def test_the_whole_job_trains_in_bfloat16_and_repeats_itself(tmp_path):
    config = pe.RunConfig(
        model="small_cnn", epochs=2, device="cuda", loading=pe.LoadingConfig(train_limit=400)
    )
    first = pe.run(config, out=tmp_path / "a")
    pe.run(config, out=tmp_path / "b")
    assert first.recipe["precision"] == "bfloat16"
    assert first.proof.ok
    assert first.accuracy["pruned"] > 0.5
    assert (tmp_path / "a/model.onnx").read_bytes() == (tmp_path / "b/model.onnx").read_bytes()


@pytest.mark.parametrize("encoding", list(ENCODINGS))
def test_a_network_on_the_gpu_is_exported_and_proven(tmp_path, encoding):
    model = pe.build_model("small_cnn", (3, 16, 16), 10, 0).cuda()
    x, y = batch((3, 16, 16), classes=10, n=16, dtype=torch.float32)
    masks = pe.score(model, [(x, y)], "magnitude").masks(0.9)
    masks.apply_to(model)
    path = tmp_path / "model.onnx"
    proof = pe.export_onnx(
        model, path, x.cuda(), masks=masks, encoding=encoding, calibration=[x.cuda()]
    )
    assert proof.ok
    assert pe.verify(path).ok
    assert all(p.is_cuda for p in model.parameters())


def test_images_are_laid_out_by_channels_while_a_network_trains_on_the_gpu():
    layouts = []

    def note(module, inputs):
        if module.training:
            layouts.append(inputs[0].is_contiguous(memory_format=torch.channels_last))

    # Three channels: with a single one, every layout is both.
    model = pe.build_model("resnet20", (3, 16, 16), 10, 0)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_pre_hook(note)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 3, 16, 16), generator=generator, dtype=torch.uint8)
    examples = Split(images, torch.arange(64) % 10)
    recipe = Recipe(
        epochs=1,
        batch_size=32,
        lr=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        schedule="cosine",
        augmentation="shift+flip",
        precision="bfloat16",
        seed=0,
    )
    device = torch.device("cuda")
    epochs = list(train(model, examples, examples, lambda x: x / 255, recipe, device))
    assert len(epochs) == 1
    assert layouts
    assert all(layouts)


def test_a_network_that_somebody_brings_is_pruned_on_the_gpu(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(own_network.network())
    config = pe.RunConfig(model=str(path), epochs=2, device="cuda", weights="pretrained")
    result = pe.run(config, out=tmp_path / "run")
    assert result.proof.ok
    assert result.environment["device"].startswith("cuda")


def test_channels_of_a_run_are_removed_on_the_gpu(tmp_path):
    pytest.importorskip("torch_pruning")
    config = pe.RunConfig(model="small_cnn", kind="channels", sparsity=0.5, device="cuda")
    assert pe.run(config, out=tmp_path).proof.ok


def test_a_sweep_on_the_gpu_ends(tmp_path):
    run = pe.RunConfig(epochs=1, device="cuda", loading=pe.LoadingConfig(train_limit=200))
    config = pe.SweepConfig(
        run=run, methods=("prospr", "snip"), sparsities=(0.9, 0.95), seeds=(0, 1)
    )
    table = pe.sweep(config, out=tmp_path)
    assert table["state"].tolist() == ["done"] * 8


def test_the_command_takes_the_gpu_by_itself(tmp_path):
    command = (sys.executable, "-m", "prospr_engine", "run", "--epochs", "1", "--out", tmp_path)
    subprocess.run(command, check=True, capture_output=True, timeout=600)
    values = json.loads((tmp_path / "result.json").read_text("utf-8"))
    assert values["environment"]["device"] == "cuda:0"


def test_no_memory_left_says_what_to_change(tmp_path):
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(pe.EngineError, match="not enough memory"):
            pe.run(pe.RunConfig(model="vgg16_bn", device="cuda"), out=tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
