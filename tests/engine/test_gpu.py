"""What only a CUDA device can show. Run by `make test-gpu`."""

from __future__ import annotations

import pytest
import torch
from helpers import NETWORKS, batch, seeded

import prospr_engine as pe
from prospr_engine.structured.shrink import shrink

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
    model = pe.build_model("resnet20", (3, 16, 16), 10, 0)
    x, y = batch((3, 16, 16), classes=10, n=16, dtype=torch.float32)
    scores = pe.score(model, [(x, y)], "magnitude")
    on_cpu = shrink(model, x, scores, "norm", 0.5)
    scores = pe.score(model.cuda(), [(x, y)], "magnitude")
    on_gpu = shrink(model, x.cuda(), scores, "norm", 0.5)
    assert on_gpu.removed == on_cpu.removed
    assert all(p.is_cuda for p in on_gpu.network.parameters())
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


def test_no_memory_left_says_what_to_change(tmp_path):
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(pe.EngineError, match="not enough memory"):
            pe.run(pe.RunConfig(model="vgg16_bn", device="cuda"), out=tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
