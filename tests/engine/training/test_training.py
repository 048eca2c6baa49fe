from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from prospr_engine.errors import DataError, TrainingError
from prospr_engine.training.augment import augment
from prospr_engine.training.enforce import MaskEnforcer
from prospr_engine.training.evaluate import evaluate
from prospr_engine.training.loop import Recipe, learning_rate, train

CPU = torch.device("cpu")


@dataclass
class Examples:
    images: Tensor
    labels: Tensor

    def batches(self, chunks):
        return (self.images[chunk] for chunk in chunks)


def examples(n=33, seed=0):
    """Two classes, bright and dark, so that a few steps are enough to learn."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    noise = torch.randint(0, 100, (n, 1, 6, 6), generator=generator)
    return Examples((noise + 150 * labels.view(-1, 1, 1, 1)).to(torch.uint8), labels)


def prepare(images):
    return images.float() / 128 - 1


def network(seed=0, dropout=0.0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Flatten(),
            nn.Linear(64, 2),
        )  # fmt: skip


def recipe(**changes):
    values = {
        "epochs": 2, "batch_size": 8, "lr": 0.05, "momentum": 0.9, "weight_decay": 5e-4,
        "schedule": "cosine", "augmentation": "shift+flip", "precision": "float32", "seed": 0,
    }  # fmt: skip
    return Recipe(**{**values, **changes})


def fit(model, masks=None, **changes):
    return list(train(model, examples(), examples(8, 1), prepare, recipe(**changes), CPU, masks))


def half_masks(model):
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.rand(p.shape, generator=generator) < 0.5
        for name, p in model.named_parameters()
        if p.dim() > 1
    }


def test_training_learns_and_reports_every_epoch():
    epochs = fit(network(), epochs=3)
    assert [(event.epoch, event.epochs) for event in epochs] == [(1, 3), (2, 3), (3, 3)]
    assert epochs[-1].validation_accuracy == 1.0
    assert epochs[-1].train_loss < epochs[0].train_loss


@pytest.mark.parametrize(("side", "most"), [(8, 512), (64, 512), (224, 41), (5000, 1)])
def test_few_large_images_are_evaluated_at_once(side, most):
    class Blank:
        images, labels = torch.empty(1000, 1, side, side, device="meta"), torch.arange(1000) % 2

        def batches(self, chunks):
            sizes.extend(len(self.labels[chunk]) for chunk in chunks)
            return (torch.zeros(size, 1, 6, 6, dtype=torch.uint8) for size in sizes)

    sizes: list[int] = []
    assert len(evaluate(network(), Blank(), prepare, CPU).predictions) == 1000
    assert max(sizes) == most


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_the_same_seed_gives_the_same_run_whatever_happens_in_between(dropout):
    results = []
    for disturbance in (0, 1):
        model = network(dropout=dropout)
        session = train(model, examples(), examples(8, 1), prepare, recipe(), CPU)
        events = []
        for event in session:
            torch.rand(disturbance * 5)
            events.append((event.train_loss, event.validation_loss))
        results.append((events, [p.detach().clone() for p in model.parameters()]))
    assert results[0][0] == results[1][0]
    assert all(torch.equal(a, b) for a, b in zip(results[0][1], results[1][1], strict=True))


def test_another_seed_gives_another_run():
    assert fit(network(), seed=1)[0].train_loss != fit(network(), seed=2)[0].train_loss


def test_two_networks_in_turns_train_as_each_alone():
    alone = fit(network(dropout=0.3))
    sessions = [
        train(network(dropout=0.3), examples(), examples(8, 1), prepare, recipe(), CPU)
        for _ in range(2)
    ]
    in_turns = [next(session) for _ in range(2) for session in sessions][::2]
    assert [e.train_loss for e in in_turns] == [e.train_loss for e in alone]


def test_pruned_weights_stay_exactly_zero_and_the_kept_ones_learn():
    model = network()
    masks = half_masks(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fit(model, masks)
    for name, mask in masks.items():
        after = dict(model.named_parameters())[name].detach()
        assert not after[~mask].any()
        assert (after[mask] != before[name][mask]).all()


def test_masks_of_ones_change_nothing():
    plain, masked = network(), network()
    fit(plain)
    fit(masked, {n: torch.ones_like(p, dtype=torch.bool) for n, p in half_masks(masked).items()})
    for a, b in zip(plain.parameters(), masked.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_gradients_and_optimiser_state_stay_zero_too(optimizer):
    model = network()
    masks = half_masks(model)
    weight, mask = model[0].weight, masks["0.weight"]
    extra = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    optimizer = optimizer(model.parameters(), lr=0.001, weight_decay=0.1, **extra)
    with MaskEnforcer(model, masks) as enforcer:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(4, 1, 6, 6)).square().sum().backward()
            assert not weight.grad[~mask].any()
            assert weight.grad[mask].any()
            optimizer.step()
            enforcer.after_step(optimizer)
            state = [s for s in optimizer.state[weight].values() if s.shape == weight.shape]
            assert state
            assert not any(s[~mask].any() for s in state)
        assert not weight[~mask].any()


def test_a_weight_that_comes_back_to_life_is_an_error():
    model = network()
    masks = half_masks(model)
    one_alive = torch.eye(1, int((~masks["0.weight"]).sum()))[0]

    def revive():
        with MaskEnforcer(model, masks), torch.no_grad():
            model[0].weight[~masks["0.weight"]] = one_alive

    with pytest.raises(TrainingError, match=r"1 pruned weights of 0\.weight became non-zero"):
        revive()


def test_the_hooks_are_gone_afterwards():
    model = network()
    masks = {"0.weight": torch.zeros_like(model[0].weight, dtype=torch.bool)}
    with MaskEnforcer(model, masks):
        pass
    model(torch.randn(4, 1, 6, 6)).sum().backward()
    assert model[0].weight.grad.any()


def test_a_loss_that_is_not_a_number_says_what_to_do():
    with pytest.raises(TrainingError, match="Set a lower learning rate"):
        fit(network(), lr=1e30, epochs=3)


def test_too_few_images():
    one = Examples(examples().images[:1], examples().labels[:1])
    with pytest.raises(DataError, match="at least 2 images"):
        next(train(network(), one, one, prepare, recipe(), CPU))


def test_a_last_batch_of_one_image_does_not_break_batch_norm():
    assert len(fit(network(), batch_size=32)) == 2  # 33 images


def test_no_epochs_is_no_training():
    assert fit(network(), epochs=0) == []


def test_the_random_state_of_the_caller_is_untouched():
    state = torch.get_rng_state()
    fit(network(dropout=0.5))
    assert torch.equal(torch.get_rng_state(), state)


def test_schedules():
    cosine, step = recipe(schedule="cosine", lr=1.0), recipe(schedule="step", lr=1.0)
    assert [learning_rate(cosine, p) for p in (0, 0.5, 1)] == pytest.approx([1, 0.5, 0])
    assert [learning_rate(step, p) for p in (0, 0.49, 0.5, 0.75)] == pytest.approx(
        [1, 1, 0.1, 0.01]
    )
    assert learning_rate(recipe(schedule="constant", lr=0.3), 0.9) == 0.3


def test_shifts_are_crops_of_the_padded_image_and_flips_mirror_it():
    x = torch.arange(1.0, 65).view(1, 1, 8, 8).expand(200, 1, 8, 8)
    out = augment(x, "shift+flip", torch.Generator().manual_seed(0))
    padded = torch.zeros(10, 10)
    padded[1:9, 1:9] = x[0, 0]
    allowed = {}
    for top in range(3):
        for left in range(3):
            crop = padded[top : top + 8, left : left + 8]
            allowed[tuple(crop.flatten().tolist())] = (top, left, False)
            allowed[tuple(crop.flip(1).flatten().tolist())] = (top, left, True)
    assert {allowed[tuple(image.flatten().tolist())] for image in out} == set(allowed.values())


def test_augmentation_can_be_none_and_follows_its_generator():
    x = torch.rand(4, 3, 8, 8)
    assert augment(x, "none", torch.Generator()) is x
    draws = [augment(x, "shift", torch.Generator().manual_seed(s)) for s in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_evaluation_counts_right_and_restores_the_mode():
    class Bright(nn.Module):
        def forward(self, x):
            mean = x.mean((1, 2, 3))
            return torch.stack([-mean, mean], 1)

    data = examples(10)
    data.labels[0] = 1 - data.labels[0]
    model = Bright().train()
    result = evaluate(model, data, prepare, CPU, batch_size=3)
    assert result.accuracy == pytest.approx(0.9)
    assert result.predictions.tolist() == [0, 1] * 5
    expected = nn.functional.cross_entropy(model(prepare(data.images)), data.labels)
    assert result.loss == pytest.approx(expected.item(), rel=1e-6)
    assert model.training
