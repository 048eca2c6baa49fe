"""The data of the page "Learn".

    python -m benchmarks.learn [--out app/learn/learn.json]

LeNet-300-100 on digits. Seed 0 gives the pictures: which weights each criterion keeps, the share
kept per pixel, and how the ranking changes with the number of look-ahead steps. All seeds give the
accuracies: every criterion at every sparsity, each network trained the same way. SNIP is ProsPr
with no look-ahead steps. Takes a few minutes; the same machine writes the same file.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import prospr_engine as pe
from prospr_engine.data.images import normalise
from prospr_engine.pipeline.result import environment
from prospr_engine.pipeline.setup import Prepared, make_recipe, prepare
from prospr_engine.training.evaluate import evaluate
from prospr_engine.training.loop import train

COMMAND = "python -m benchmarks.learn"
OUT = Path("app/learn/learn.json")
METHODS = ("random", "magnitude", "snip", "prospr")
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
SHOWN = 0.95  # the sparsity of the pictures
STEPS = 3
SEEDS = range(5)
EPOCHS = 10
CROSSING = 8  # weights in the look-ahead picture, in each direction


def main() -> None:
    """Compute everything and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    torch.set_num_threads(1)  # sums do not depend on the machine's cores
    first = prepared(0)
    scores = {method: score(first, method) for method in METHODS}
    kept = {method: mask(s, SHOWN) for method, s in scores.items()}
    content = {
        "command": COMMAND,
        "setting": {
            "model": first.config.model,
            "data": first.config.data,
            "epochs": EPOCHS,
            "seeds": len(SEEDS),
            "steps": STEPS,
            "sparsity": SHOWN,
            "weights": len(kept["prospr"]),
            "kept": int(kept["prospr"].sum()),
            "layers": [v.numel() for v in scores["prospr"].values()],
            "calibration_images": len(first.batches[0][0]),
            "test_images": len(first.data.test),
        },
        "environment": environment(first.device),
        "digits": examples(first),
        "pixels": pixels(first, scores),
        "layers": {m: [layer.kept for layer in s.masks(SHOWN).layers] for m, s in scores.items()},
        "overlap": {m: rounded((kept[m] & kept["prospr"]).sum() / kept[m].sum()) for m in METHODS},
        "look_ahead": look_ahead(first),
        "accuracy": accuracies(),
    }
    # A line per picture keeps diffs readable.
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in content.items()]
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"wrote {out}, {out.stat().st_size / 1e3:.0f} kB")


def prepared(seed: int) -> Prepared:
    """Data, network and calibration batch of one seed."""
    return prepare(pe.RunConfig(model="mlp", epochs=EPOCHS, seed=seed, device="cpu"))


def score(ready: Prepared, method: str, steps: int = STEPS) -> pe.Scores:
    """Scores of the untrained network."""
    if method in ("prospr", "snip"):
        ahead = steps if method == "prospr" else 0
        return pe.score(ready.model, ready.batches, "prospr", steps=ahead)
    if method == "random":
        return pe.score(ready.model, method=method, seed=ready.config.seed)
    return pe.score(ready.model, method=method)


def mask(scores: pe.Scores, sparsity: float) -> Tensor:
    """All masks concatenated, bool (weights,)."""
    return torch.cat([m.flatten() for m in scores.masks(sparsity).values()])


def examples(ready: Prepared) -> list[list[list[int]]]:
    """The first test image of every class."""
    test = ready.data.test
    firsts = [int((test.labels == c).nonzero()[0]) for c in range(len(ready.data.classes))]
    pictures: list[list[list[int]]] = test.images[firsts, 0].tolist()
    return pictures


def pixels(ready: Prepared, scores: dict[str, pe.Scores]) -> dict[str, Any]:
    """The share of every pixel's weights in the first layer that is kept, and the pixel's mean
    brightness in the training images."""
    _, H, W = ready.data.shape
    first = next(iter(scores["prospr"]))
    shares = {m: s.masks(SHOWN)[first].float().mean(0).view(H, W) for m, s in scores.items()}
    bright = ready.data.train.images.float().mean((0, 1)) / 255
    return {
        "kept": {method: rounded(share) for method, share in shares.items()},
        "brightness": rounded(bright),
    }


def look_ahead(ready: Prepared) -> dict[str, Any]:
    """How the loss falls during the look-ahead steps, and how the ranking changes with their
    number."""
    by_steps = [score(ready, "prospr", steps) for steps in range(STEPS + 1)]
    ranks = [percentiles(torch.cat([v.flatten() for v in s.values()])) for s in by_steps]
    kept = [mask(s, SHOWN) for s in by_steps]
    generator = torch.Generator().manual_seed(0)
    groups = {"joins": kept[-1] & ~kept[0], "leaves": kept[0] & ~kept[-1]}
    lines = []
    for way, members in groups.items():
        numbers = members.nonzero().flatten()
        chosen = numbers[torch.randperm(len(numbers), generator=generator)[:CROSSING]]
        lines += [
            {"way": way, "places": rounded(torch.stack([r[n] for r in ranks]))} for n in chosen
        ]
    return {
        "losses": rounded(torch.tensor(by_steps[-1].diagnostics.losses)),
        "overlap": [rounded((k & kept[-1]).sum() / k.sum()) for k in kept],
        "joins": int(groups["joins"].sum()),
        "leaves": int(groups["leaves"].sum()),
        "lines": lines,
        "trusted": by_steps[-1].diagnostics.trusted,
    }


def accuracies() -> dict[str, Any]:
    """Test accuracy per seed: of the dense network, and of the pruned ones by criterion and
    sparsity."""
    dense: list[float] = []
    pruned: dict[str, dict[str, list[float]]] = {
        method: {f"{sparsity:g}": [] for sparsity in SPARSITIES} for method in METHODS
    }
    for seed in SEEDS:
        ready = prepared(seed)
        dense.append(trained(ready, None))
        for method in METHODS:
            scores = score(ready, method)
            for sparsity in SPARSITIES:
                found = trained(ready, scores.masks(sparsity))
                pruned[method][f"{sparsity:g}"].append(found)
                print(f"seed {seed}, {method}, {sparsity:.0%} removed: {found:.1%}", flush=True)
    return {"dense": dense, "pruned": pruned}


def trained(ready: Prepared, masks: pe.Masks | None) -> float:
    """Test accuracy after training a copy of the network under ``masks``."""
    model, data = copy.deepcopy(ready.model), ready.data
    if masks is not None:
        masks.apply_to(model)

    def prepared_images(images: Tensor) -> Tensor:
        return normalise(images, data.mean, data.std)

    recipe = make_recipe(ready.config, ready)
    for _ in train(
        model, data.train, data.validation, prepared_images, recipe, ready.device, masks=masks
    ):
        pass
    return round(evaluate(model, data.test, prepared_images, ready.device).accuracy, 4)


def percentiles(values: Tensor) -> Tensor:
    """The share of values below each value, 0..1."""
    ranks = torch.empty_like(values, dtype=torch.float64)
    ranks[values.argsort(stable=True)] = torch.arange(len(values), dtype=torch.float64)
    return ranks / (len(values) - 1)


def rounded(values: Tensor) -> Any:
    """Plain numbers rounded to four decimals."""
    return torch.round(values.double(), decimals=4).tolist()


if __name__ == "__main__":
    main()
