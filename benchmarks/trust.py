"""How many weights does rounding decide, and do the verdicts know?

    python -m benchmarks.trust [--data PATH] [--cases 180] [--minutes N] [--out FILE.json]

Over settings drawn from a seed (every network of the zoo, 16×16 and 32×32, batches of 8 to 128,
rates of 0.01 to 0.5, momentum 0 and 0.9, several criteria and number formats), each setting at 90,
95 and 98 % sparsity: the share of the weights kept in float64 that the default and float32 keep
too. A trusted ranking is falsely trusted if more than 5 % of the kept weights differ. Rankings are
doubted for other reasons, too: a look-ahead that diverged, weights chosen among equals. The file is
written after every setting, and what it holds already is not computed again; quick settings come
first.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import prospr_engine as pe
from prospr_engine.data.images import normalise
from prospr_engine.saliency.diagnostics import shared_share

SPARSITIES = (0.9, 0.95, 0.98)
LARGE = {"resnet18", "resnet50", "vgg16_bn", "vgg19_bn"}
METHODS = ("prospr",) * 5 + (
    "prospr_first_order",
    "prospr_published",
    "snip",
    "grasp",
    "iterative_snip",
    "force",
)
DIFFERING = 0.05


def case(number: int) -> dict[str, Any]:
    """The settings of one case: the networks in turn, the rest drawn."""
    draw = random.Random(number)
    networks = list(pe.MODELS)
    model = networks[number % len(networks)]
    method = draw.choice(METHODS)
    options: dict[str, Any] = {}
    if method.startswith("prospr"):
        options["steps"] = draw.choice((1, 2, 3, 3, 3, 5))
        options["lr"] = draw.choice((0.01, 0.03, 0.1, 0.3, 0.5))
        options["momentum"] = draw.choice((0.0, 0.9))
    large = model in LARGE
    iterative = method in {"iterative_snip", "force"}
    return {
        "model": model,
        "method": method,
        "options": options,
        "side": 16 if large or iterative else draw.choice((16, 32)),
        "batch": draw.choice((8, 16) if large else (8, 16, 32, 64, 128)),
        "dtype": draw.choice(("float32",) * 5 + ("bfloat16",)),
        "sparsities": [draw.choice(SPARSITIES)] if iterative else list(SPARSITIES),
        "seed": number,
    }


def work(number: int) -> float:
    """About how much there is to compute in a case, in pixels times weights of the network."""
    setting = case(number)
    passes = 20 if setting["method"] in {"iterative_snip", "force"} else 1
    passes = 3 * setting["options"].get("steps", 0) + passes
    weights = pe.MODELS[setting["model"]].parameters
    return float(weights * setting["batch"] * setting["side"] ** 2 * passes)


def measured(setting: dict[str, Any], data: pe.ImageData) -> dict[str, Any]:
    """The agreement with float64 and the verdict, of the default and of float32."""
    order = torch.randperm(
        len(data.train.labels), generator=torch.Generator().manual_seed(setting["seed"])
    )[: setting["batch"]]
    images, labels = data.train.images[order], data.train.labels[order]
    batch = (normalise(images, data.mean, data.std), labels)
    model = pe.build_model(setting["model"], data.shape, len(data.classes), setting["seed"])
    model.to(getattr(torch, setting["dtype"]))
    options = dict(setting["options"])
    if pe.METHODS[setting["method"]].iterative:
        options["sparsity"] = setting["sparsities"][0]
    ways: dict[str, Any] = {}
    found: dict[str, pe.Scores] = {}
    for way, precision in (("float64", "float64"), ("default", None), ("float32", "float32")):
        started = time.process_time()
        found[way] = pe.score(model, [batch], setting["method"], precision=precision, **options)
        ways[way] = {
            "seconds": round(time.process_time() - started, 2),
            "precision": found[way].diagnostics.precision,
        }
    for way, values in ways.items():
        if any(scores.diagnostics.non_finite for scores in found.values()):
            continue
        values["kept"] = {
            str(s): shared_share(found["float64"], found[way], s, 0) for s in setting["sparsities"]
        }
        values["trusted"] = {
            str(s): found[way]
            .diagnostics.with_equals(
                (masks := found[way].masks(s)).metadata["chosen_among_equals"], masks.kept
            )
            .trusted
            for s in setting["sparsities"]
        }
    return {**setting, "ways": ways}


def summary(results: list[dict[str, Any]]) -> str:
    """A line per number format: how much is kept, what is trusted, and what it costs."""
    lines = []
    for way in ("default", "float32"):
        pairs = [
            (share, result["ways"][way]["trusted"][sparsity])
            for result in results
            for sparsity, share in result["ways"][way].get("kept", {}).items()
        ]
        if not pairs:
            continue
        shares = [share for share, _ in pairs]
        trusted = [share for share, trust in pairs if trust]
        untrusted = [share for share, trust in pairs if not trust]
        wrong = sum(share < 1 - DIFFERING for share in trusted)
        agreeing = sum(share >= 1 - DIFFERING for share in untrusted)
        cost = statistics.median(
            result["ways"][way]["seconds"] / max(result["ways"]["float32"]["seconds"], 0.01)
            for result in results
        )
        lines.append(
            f"{way:8} {len(pairs)} rankings of {len(results)} settings: at least 99 % of "
            f"float64's weights kept in {sum(s >= 0.99 for s in shares) / len(shares):.1%}, least "
            f"{min(shares):.1%}, median {statistics.median(shares):.2%}; {len(trusted)} trusted, "
            f"{wrong} of them falsely; {len(untrusted)} not, though {agreeing} of them agree; "
            f"processor time {cost:.2f} of float32's"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, write, and print the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="digits", help="a data set's name or path")
    parser.add_argument("--cases", type=int, default=180)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--out", type=Path, help="a JSON file, continued if it exists")
    parsed = parser.parse_args()
    begun = time.monotonic()
    results = json.loads(parsed.out.read_text()) if parsed.out and parsed.out.exists() else []
    done = {result["seed"] for result in results}
    loaded: dict[int, pe.ImageData] = {}
    for number in sorted(range(parsed.cases), key=work):
        if number in done or time.monotonic() - begun > 60 * parsed.minutes:
            continue
        setting = case(number)
        if setting["side"] not in loaded:
            loading = pe.LoadingConfig(train_limit=1000, test_limit=20, image_size=setting["side"])
            loaded[setting["side"]] = pe.load_data(parsed.data, loading, 0)
        results.append(measured(setting, loaded[setting["side"]]))
        kept = {way: values.get("kept") for way, values in results[-1]["ways"].items()}
        print(number, setting["model"], setting["method"], setting["options"], kept, flush=True)
        if parsed.out:
            lines = ",\n".join(json.dumps(result) for result in results)
            parsed.out.write_text(f"[\n{lines}\n]\n")
    print(summary(results))


if __name__ == "__main__":
    main()
