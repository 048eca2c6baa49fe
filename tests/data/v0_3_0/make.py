"""How the files in this folder were made. This must be run with the code of 0.3.0, from the root
of a checkout of that version; it is kept as a record, to be read rather than to be run again.

    OMP_NUM_THREADS=1 python .../tests/data/v0_3_0/make.py

``made.zip`` holds what 0.3.0 wrote: folders of runs, sweeps and searches, and a store. Contents
that several files have in common lie in it once; ``tree.json`` says what each file holds.
``expectations.json`` holds what 0.3.0 said of them, and of settings, tables and addresses.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(Path.cwd()))

import numpy as np  # noqa: E402, I001  (need the path above)
import torch  # noqa: E402
from PIL import Image  # noqa: E402

import prospr_engine as pe  # noqa: E402
from prospr_engine import cli  # noqa: E402
from prospr_engine.errors import Stopped  # noqa: E402
from prospr_engine.jobs.ensure import at_work  # noqa: E402
from prospr_engine.jobs.worker import work  # noqa: E402
from prospr_engine.store.store import Store  # noqa: E402

VISITOR = hashlib.sha256(b"a visitor").hexdigest()[:32]
STRANGER = hashlib.sha256(b"another visitor").hexdigest()[:32]
LONG_AGO = (1980, 1, 1, 0, 0, 0)
SMALL = [
    *("--model", "small_cnn", "--data", "digits", "--epochs", "1", "--device", "cpu"),
    *("--train-limit", "200", "--test-limit", "60"),
]
LOADING = {"train_limit": 200, "test_limit": 60}
RUN = {"epochs": 1, "device": "cpu", "loading": LOADING}
UNFINISHED = {
    "run": {**RUN, "scoring": {"options": {"steps": 2}}},
    "methods": ["prospr"],
    "sparsities": [0.9],
    "controls": ["none", "shuffle", "reinit", "random"],
}
COMMANDS = ("run", "runs", "score", "export", "verify", "list", "sweep", "search", "doctor")

RUNS: list[dict[str, Any]] = [
    {},
    {"model": "lenet5"},
    {"model": "torchvision/resnet18"},
    {"data": "cifar10"},
    {"data": "photos.zip"},
    {"data": f"upload:{'0' * 64}/cats.zip"},
    {"method": "snip"},
    {"method": "random_erk", "sparsity": 0.98},
    {"sparsity": 0.0},
    {"sparsity": 0.995},
    {"epochs": 0},
    {"epochs": 200},
    {"seed": 2**32 - 1},
    {"weights": "pretrained"},
    {"weights": "weights.safetensors"},
    {"layer_floor": 5},
    {"control": "shuffle"},
    {"control": "reinit"},
    {"control": "random"},
    {"device": "cpu"},
    {"device": "cuda:1"},
    {"loading": {"image_size": 16}},
    {"loading": {"train_limit": 100, "test_limit": 50}},
    {"loading": {"validation_fraction": 0.2, "test_fraction": 0.3, "skip_broken": True}},
    {"scoring": {"batch_size": 64, "batches": 4}},
    {"scoring": {"precision": "float64"}},
    {"scoring": {"options": {"steps": 5, "lr": 0.05}}},
    {"scoring": {"options": {"momentum": 0.9, "order": "first"}}},
    {"method": "force", "scoring": {"options": {"rounds": 7}}},
    {"method": "grasp", "scoring": {"options": {"temperature": 20.0}}},
    {"training": {"batch_size": 32}},
    {"training": {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}},
    {"training": {"schedule": "step", "augmentation": "shift+flip", "precision": "float32"}},
    {"training": {"schedule": "constant", "augmentation": "none", "precision": "bfloat16"}},
    {
        "model": "resnet18",
        "data": "cifar10",
        "sparsity": 0.95,
        "epochs": 200,
        "training": {"batch_size": 256, "lr": 0.1, "schedule": "step"},
    },
    RUN,
]
SWEEPS: list[dict[str, Any]] = [
    {},
    {"methods": ["prospr", "snip"]},
    {"sparsities": [0.8, 0.95, 0.98]},
    {"seeds": [0, 1, 2]},
    {"steps": [1, 3, 5]},
    {"controls": ["none", "shuffle", "reinit", "random"]},
    {"run": {"model": "resnet20", "data": "cifar10"}, "methods": ["synflow", "magnitude"]},
    {"run": {"scoring": {"options": {"rounds": 7}}}, "methods": ["force", "iterative_snip"]},
    {
        "run": {"training": {"lr": 0.05}, "loading": {"train_limit": 100}},
        "methods": ["prospr", "random_erk"],
        "sparsities": [0.5, 0.875],
        "seeds": [4, 5],
        "steps": [0, 10],
        "controls": ["none", "reinit"],
    },
    UNFINISHED,
]
SEARCHES: list[dict[str, Any]] = [
    {"most_lost": 0.01},
    {"most_bytes": 100_000},
    {"most_lost": 0.0, "seeds": [0, 1, 2], "lowest": 0.5, "highest": 0.99, "most_probes": 5},
    {"run": {"model": "resnet20", "method": "snip", "epochs": 5}, "most_bytes": 250_000},
]

FAILING = [
    [],
    ["nothing"],
    ["run", "--bogus"],
    ["run", "--model", "nothing"],
    ["run", "--data", "nowhere"],
    ["run", "--method", "nothing"],
    ["run", "--sparsity", "1"],
    ["run", "--sparsity", "95"],
    ["run", "--sparsity", "much"],
    ["run", "--epochs", "-1"],
    ["run", "--weights", "missing.safetensors"],
    ["run", "--device", "cuda:99"],
    ["run", "--option", "steps"],
    ["run", "--option", "nothing=1"],
    ["run", "--train-limit", "3"],
    ["run", "--config", "missing.json"],
    ["run", "--config", "photos.zip"],
    ["run", "--out", "run"],
    ["score", "--out", "run"],
    ["sweep", "--methods", ""],
    ["sweep", "--methods", "nothing"],
    ["sweep", "--methods", "snip", "--steps", "1"],
    ["sweep", "--seeds", "0,0"],
    ["sweep", "--model", "nothing"],
    ["sweep", "--out", "run"],
    ["sweep", "--store", "store", "--out", "elsewhere"],
    ["search"],
    ["search", "--max-loss", "1", "--max-size", "1kB"],
    ["search", "--max-size", "banana"],
    ["search", "--max-loss", "101"],
    ["search", "--max-loss", "1", "--lowest", "0.9", "--highest", "0.5"],
    ["search", "--max-loss", "1", "--out", "run"],
    ["verify"],
    ["verify", "missing.onnx"],
    ["verify", "photos.zip"],
    ["verify", "forged.onnx"],
    ["export", "store"],
    ["export", "run", "--out", "model.pt"],
    ["export", "run", "--encoding", "nothing", "--out", "other.onnx"],
    ["export", "run", "--network", "other"],
    ["runs", "--store", "nowhere"],
    ["runs", "--store", "store", "--stop", "zzzz"],
    ["runs", "--store", "store", "--delete", ""],
    ["list", "nothing"],
]
WORKING = [
    ["--version"],
    ["list", "methods", "--json"],
    ["list", "models"],
    ["list", "datasets"],
    ["runs", "--store", "store"],
    ["verify", "run/model.onnx", "--json"],
    ["sweep", "--dry-run", "--quiet"],
]


def main() -> None:
    assert pe.__version__ == "0.3.0", "this records what 0.3.0 does"
    torch.set_num_threads(1)
    for name in [name for name in os.environ if name.startswith("PROSPR_")]:
        del os.environ[name]
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ["COLUMNS"] = "200"
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        make_files()
        make_folders()
        told = {"store": make_store(Path("store"))}
        told |= {"folders": folders(), "machine": machine()}
        shutil.rmtree("store/work", ignore_errors=True)
        pack(Path(), HERE / "made.zip")  # before what fails leaves something behind
        told |= settings() | surface() | {"addresses": addresses(told["store"])}
    text = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)
    (HERE / "expectations.json").write_text(text + "\n", "utf-8")


def told_by(*arguments: str) -> tuple[int, str]:
    """The exit code of a command line and what it wrote to standard output."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = cli.main(list(arguments))
        except SystemExit as exit:
            code = int(exit.code or 0)
    return code, output.getvalue()


def do(*arguments: str) -> Any:
    """What a command line tells as JSON; it must work."""
    code, text = told_by(*arguments, "--json")
    assert code == 0, (arguments, text)
    return json.loads(text)


# What people keep


def make_files() -> None:
    """Images and weights as people bring them."""
    noise = np.random.default_rng(0)
    with zipfile.ZipFile("photos.zip", "w", zipfile.ZIP_DEFLATED) as photos:
        for label, bright in (("day", 180), ("night", 40)):
            for number in range(20):
                pixels = bright + noise.integers(-30, 30, (8, 8), endpoint=True)
                file = io.BytesIO()
                Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
                photos.writestr(zipfile.ZipInfo(f"{label}/{number}.png", LONG_AGO), file.getvalue())


def make_folders() -> None:
    quiet = [*SMALL, "--quiet"]
    do("run", *quiet, "--out", "run")
    do("run", *quiet, "--control", "reinit")  # runs/<fingerprint>
    shutil.copyfile("run/dense.safetensors", "weights.safetensors")
    do("run", *quiet, "--weights", "weights.safetensors", "--method", "snip", "--out", "weighted")
    do("run", *quiet, "--data", "photos.zip", "--option", "steps=1", "--out", "photographed")
    lists = ["--methods", "prospr,snip", "--sparsities", "0.8,0.95", "--seeds", "0,1"]
    do("sweep", *quiet, *lists)  # runs/sweep-<fingerprint>
    unfinished()
    do("search", *quiet, "--max-size", "40kB", "--max-tries", "3")  # runs/search-<fingerprint>
    unmet = ["search", *quiet, "--max-size", "1kB", "--max-tries", "1", "--out", "unmet"]
    assert told_by(*unmet)[0] == 1
    forged = bytearray(Path("run/model.onnx").read_bytes())
    for place in range(len(forged) // 2, len(forged) // 2 + 400):
        forged[place] ^= 1
    Path("forged.onnx").write_bytes(forged)
    for lock in Path().rglob(".lock"):
        lock.unlink()


def unfinished() -> None:
    """A sweep of four cells that was stopped after the second."""
    ended = 0

    def hear(event: Any) -> None:
        nonlocal ended
        ended += event.to_dict()["event"] == "CellEnded"

    try:
        pe.sweep(
            pe.SweepConfig.from_dict(UNFINISHED),
            out="unfinished",
            on_event=hear,
            should_stop=lambda: ended == 2,
        )
    except Stopped:
        return
    raise AssertionError("it was not stopped")


def folders() -> dict[str, Any]:
    """What lies in the folders, and what it says."""
    return {
        "runs": ["run", "weighted", "photographed", *named("runs", r"[0-9a-f]{16}")],
        "sweep": named("runs", r"sweep-.*")[0],
        "search": named("runs", r"search-.*")[0],
        "sweep_table": Path(named("runs", r"sweep-.*")[0], "cells.csv").read_text("utf-8"),
        "digests": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(Path("run").iterdir())
        },
    }


def named(folder: str, pattern: str) -> list[str]:
    paths = sorted(Path(folder).iterdir())
    return [path.as_posix() for path in paths if re.fullmatch(pattern, path.name)]


def machine() -> dict[str, Any]:
    """What the last digits of a result depend on."""
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    environment = json.loads(Path("run/result.json").read_text("utf-8"))["environment"]
    return {
        "environment": environment,
        "processor": found[1] if found else "",
        "capability": torch.backends.cpu.get_cpu_capability(),
    }


# The store


def make_store(folder: Path) -> dict[str, Any]:
    """A store that the command line and two visitors used; what ``runs`` says of it."""
    at = ["--store", str(folder), "--quiet"]
    do("run", *SMALL, *at, "--name", "The first *run*")
    do("run", *SMALL, *at, "--method", "snip", "--sparsity", "0.95", "--control", "shuffle")
    do("sweep", *SMALL, *at, "--methods", "prospr,snip", "--sparsities", "0.9,0.98")
    do("search", *SMALL, *at, "--max-size", "40kB", "--max-tries", "3", "--name", "40 kB")
    end_worker(folder)
    told = visit(Store(folder))
    tidy(folder)
    runs = do("runs", "--store", str(folder))["runs"]
    for run in runs:  # by content, wherever the store lies
        run["files"] = {name: Path(path).name for name, path in run["files"].items()}
    return {"runs": runs, **told}


def visit(store: Store) -> dict[str, Any]:
    """What two visitors leave in the store, and how its sweeps and searches stand then."""
    images = store.uploads.add(
        VISITOR, "images", "photos.zip", Path("photos.zip").read_bytes(), ".zip"
    )
    weights = store.uploads.add(
        VISITOR,
        "weights",
        "mine.safetensors",
        Path("weights.safetensors").read_bytes(),
        ".safetensors",
    )

    def submit(name: str, owner: str = VISITOR, **changes: Any) -> str:
        return store.submit(pe.RunConfig.from_dict({**RUN, **changes}), owner, name).id

    submit("Own images", data=images.token, scoring={"options": {"steps": 1}})
    submit("Own weights", weights=weights.token, method="snip")
    submit("Another network", weights=weights.token, model="lenet5")
    work(store.folder, idle=2.0)
    submit("Somebody else's", STRANGER)  # known: a copy
    stopped = submit("Stopped", seed=5)
    store.stop(stopped, VISITOR)
    sweep = pe.SweepConfig.from_dict({"run": RUN, "sparsities": [0.9, 0.7]})
    study = store.submit_study("sweep", sweep, VISITOR, "Stopped sweep")
    store.stop_study(study.id, VISITOR)
    submit("Lost", seed=6)
    assert store.claim("a-machine:1:0123abcd") is not None
    submit("Waiting", seed=7)
    states = {run.name: run.state for run in store.runs() if run.name}
    assert states["Another network"] == "failed"
    assert (states["Lost"], states["Waiting"]) == ("running", "queued")
    studies = [
        {
            **dataclasses.asdict(study),
            "state": study.state,
            "runs": [run.id for run in store.study_runs(study.id)],
        }
        for study in store.studies()
    ]
    return {
        "studies": studies,
        "visitor": VISITOR,
        "uploads": {"images": images.token, "weights": weights.token},
    }


def end_worker(folder: Path) -> None:
    """The command line's worker would wait for more."""
    for pid in re.findall(r"worker (\d+) begins", (folder / "worker.log").read_text("utf-8")):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGTERM)
    while at_work(folder.absolute()):
        time.sleep(0.1)


def tidy(folder: Path) -> None:
    """One file of a record, without what this machine is called."""
    gc.collect()
    for name in ("worker.log", "worker.lock"):
        (folder / name).unlink(missing_ok=True)
    record = sqlite3.connect(folder / "runs.sqlite3")
    record.execute("UPDATE runs SET worker = 'a-machine:1:0123abcd' WHERE worker IS NOT NULL")
    record.commit()
    record.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    record.execute("VACUUM")
    record.close()


# What programs and people rely on


def settings() -> dict[str, Any]:
    return {
        "run_configs": [[changes, pe.RunConfig.from_dict(changes).fingerprint] for changes in RUNS],
        "sweep_configs": [
            [changes, pe.SweepConfig.from_dict(changes).fingerprint] for changes in SWEEPS
        ],
        "search_configs": [
            [changes, pe.SearchConfig.from_dict(changes).fingerprint] for changes in SEARCHES
        ],
        "defaults": {
            "run": pe.RunConfig().to_dict(),
            "sweep": pe.SweepConfig().to_dict(),
            "search": pe.SearchConfig(most_lost=0.01).to_dict(),
        },
    }


def surface() -> dict[str, Any]:
    return {
        "names": list(pe.__all__),
        "tables": {name: table(name) for name in ("methods", "models", "datasets")},
        "flags": {name: flags(name) for name in COMMANDS},
        "exit_codes": [[words, told_by(*words)[0]] for words in (*FAILING, *WORKING)],
    }


def table(name: str) -> list[dict[str, Any]]:
    """Without torchvision's networks, of which there are as many as its version has."""
    rows = do("list", name)[name]
    return [row for row in rows if not row["name"].startswith("torchvision/")]


def flags(command: str) -> list[str]:
    return sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]+", told_by(command, "--help")[1])))


def addresses(store: dict[str, Any]) -> dict[str, Any]:
    """Addresses of forms, and the settings that each has to give."""
    from app.forms import address, budget_address, grid_address
    from app.presets import PRESETS, SWEEPS

    uploads = store["uploads"]
    runs = [
        pe.RunConfig(),
        *(preset.config for preset in PRESETS),
        *map(
            pe.RunConfig.from_dict,
            (
                {
                    "model": "resnet20",
                    "data": "cifar10",
                    "sparsity": 0.985,
                    "epochs": 7,
                    "seed": 4,
                    "layer_floor": 2,
                    "device": "cpu",
                    "loading": {"image_size": 16, "train_limit": 500, "skip_broken": True},
                    "scoring": {
                        "batch_size": 64,
                        "precision": "float64",
                        "options": {"lr": 0.05, "order": "first"},
                    },
                    "training": {"lr": 0.05, "schedule": "step", "weight_decay": 1e-05},
                },
                {"method": "random", "sparsity": 0.0, "epochs": 0, "control": "shuffle"},
                {"method": "grasp", "scoring": {"options": {"temperature": 20.0}}},
                {"method": "magnitude", "model": "vgg16_bn", "data": "mnist"},
                {"model": "torchvision/resnet18", "data": "cifar10", "weights": "pretrained"},
                {"data": uploads["images"], "loading": {"image_size": 8}},
                {"weights": uploads["weights"], "method": "snip", "control": "reinit"},
            ),
        ),
    ]
    sweeps = [
        *(preset.config for preset in SWEEPS),
        pe.SweepConfig.from_dict(
            {
                "run": {
                    "model": "resnet20",
                    "data": "cifar10",
                    "epochs": 7,
                    "layer_floor": 2,
                    "loading": {"train_limit": 500},
                    "scoring": {"batch_size": 64, "options": {"rounds": 7, "momentum": 0.5}},
                    "training": {"lr": 0.05},
                },
                "methods": ["prospr", "iterative_snip", "synflow"],
                "sparsities": [0.5, 0.875, 0.999],
                "seeds": [4, 5],
                "steps": [0, 10],
                "controls": ["none", "reinit"],
            }
        ),
    ]
    searches = [
        pe.SearchConfig(most_lost=0.01),
        pe.SearchConfig(most_bytes=100_000),
        pe.SearchConfig.from_dict(
            {
                "run": {"method": "grasp", "epochs": 5},
                "most_lost": 0.025,
                "seeds": [3, 4, 5],
                "most_probes": 4,
            }
        ),
    ]
    find = {"task": "Find the sparsity"}
    by_hand: list[tuple[str, dict[str, Any]]] = [
        ("data=cifar10&method=snip", {"data": "cifar10", "method": "snip"}),
        (
            "model=LeNet-5&sparsity=97.5&train-lr=0.2",
            {"model": "lenet5", "sparsity": 0.975, "training": {"lr": 0.2}},
        ),
    ]
    return {
        "runs": [
            *({"query": query(address(config)), "config": config.to_dict()} for config in runs),
            *(
                {"query": typed, "config": pe.RunConfig.from_dict(changes).to_dict()}
                for typed, changes in by_hand
            ),
        ],
        "sweeps": [
            {"query": query(grid_address(config)), "config": config.to_dict()} for config in sweeps
        ],
        "searches": [
            {"query": query(find | budget_address(config)), "config": config.to_dict()}
            for config in searches
        ],
    }


def query(parameters: dict[str, Any]) -> str:
    return urlencode(parameters, doseq=True)


# Into one file


def pack(folder: Path, target: Path) -> None:
    """All files below ``folder``: each content once, and which file holds which."""
    tree: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            tree[path.as_posix()] = digest
            contents[digest] = content
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        packed.writestr(
            zipfile.ZipInfo("tree.json", LONG_AGO),
            json.dumps(tree, indent=0),
            zipfile.ZIP_DEFLATED,
        )
        for digest, content in sorted(contents.items()):
            packed.writestr(zipfile.ZipInfo(digest, LONG_AGO), content, zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    main()
