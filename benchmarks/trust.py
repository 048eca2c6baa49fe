"""Which number predicts whether a ranking survives rounding?

    python -m benchmarks.trust [--data PATH]

For several networks and settings: the share of kept weights on which float32 and float64 agree,
and the two candidates for a warning: the growth of the adjoint, and the sensitivity of the
gradient at step M to rounding of the weights (which ``Diagnostics.trusted`` uses).
"""

from __future__ import annotations

import argparse

import prospr_engine as pe
from prospr_engine.data.images import normalise

CASES = [
    ("mlp", 128, {"lr": 0.1}),
    ("lenet5", 128, {"lr": 0.5}),
    ("small_cnn", 128, {"lr": 0.1}),
    ("small_cnn", 128, {"lr": 0.5, "momentum": 0.9, "steps": 8}),
    ("resnet20", 128, {"lr": 0.1}),
    ("resnet20", 128, {"lr": 0.02}),
    ("resnet20", 128, {"lr": 0.5, "momentum": 0.9}),
    ("resnet20", 32, {"lr": 0.1}),
    ("resnet20", 32, {"lr": 0.1, "steps": 8}),
    ("resnet20", 32, {"lr": 0.02, "steps": 8}),
    ("vgg16_bn", 32, {"lr": 0.1}),
    ("vgg16_bn", 32, {"lr": 0.01}),
]


def agreement(a: pe.Scores, b: pe.Scores, sparsity: float) -> float:
    """The share of the weights kept by ``a`` that ``b`` keeps too."""
    first, second = a.masks(sparsity), b.masks(sparsity)
    return sum(int((first[name] & second[name]).sum()) for name in first) / first.kept


def main() -> None:
    """Print a row per case and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", help="a data set's name or path")
    parser.add_argument("--seeds", type=int, default=2)
    parsed = parser.parse_args()
    data = pe.load_data(parsed.data, pe.LoadingConfig(train_limit=400, test_limit=20), 0)
    print(f"{parsed.data}: agreement of float32 and float64 on the weights kept")
    print(f"{'':10} batch seed {'sensitivity':>12} {'growth':>8} {'at 90 %':>8} {'at 98 %':>8}")
    for model_name, size, options in CASES:
        images, labels = data.train.images[:size], data.train.labels[:size]
        batch = (normalise(images, data.mean, data.std), labels)
        for seed in range(parsed.seeds):
            model = pe.build_model(model_name, data.shape, len(data.classes), seed)
            single = pe.score(model, [batch], **options)
            double = pe.score(model, [batch], precision="float64", **options)
            found = single.diagnostics
            shares = " ".join(f"{agreement(single, double, s):8.1%}" for s in (0.9, 0.98))
            print(
                f"{model_name:10} {size:5} {seed:4} {found.sensitivity:12.2g} "
                f"{found.growth:8.3g} {shares}  {options}",
                flush=True,
            )


if __name__ == "__main__":
    main()
