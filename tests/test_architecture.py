"""Imports point down, and what must stay light stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# From the bottom to the top; a module may import from its own layer and those below, but the
# packages of a layer marked "apart" may not import each other.
LAYERS = [
    (
        "together",
        [
            "config",
            "events",
            "errors",
            "registry",
            "files",
            "kinds",
            "noise",
            "sparsity",
            "uploads",
        ],
    ),
    (
        "together",
        [
            "batchnorm",
            "convolution",
            "prunable",
            "masks",
            "functional",
            "health",
            "device",
            "ranking",
        ],
    ),
    ("apart", ["saliency", "structured", "models", "data", "training", "export"]),
    (
        "together",
        [
            "estimate",
            "prepare",
            "pipeline",
            "result",
            "saved",
            "gallery",
            "pictures",
            "answers",
            "doctor",
            "controls",
            "labels",
            "pruning",
            "reuse",
            "trained",
            "summary",
            "sweeps",
        ],
    ),
    ("together", ["store"]),
    ("together", ["jobs"]),
    (
        "together",
        [
            "cli",
            "cli_common",
            "cli_runs",
            "cli_search",
            "cli_sweep",
            "terminal",
            "terminal_sweep",
            "__main__",
        ],
    ),
]
APP_LAYERS = [
    ["services"],
    ["charts", "text", "links", "state", "presets", "bounds"],
    ["components", "forms"],
    ["app_pages"],
    ["streamlit_app"],
]


def imports(path: Path, package: str) -> set[str]:
    """The parts of ``package`` that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: relative imports hide where they point"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        parts = [name.split(".") for name in names]
        found |= {p[1] for p in parts if p[0] == package and len(p) > 1}
    return found


def rank(part: str) -> int | None:
    return next((i for i, (_, names) in enumerate(LAYERS) if part in names), None)


ENGINE_FILES = sorted((ROOT / "prospr_engine").rglob("*.py"))


@pytest.mark.parametrize("path", ENGINE_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_engine_imports_point_down(path):
    part = path.relative_to(ROOT / "prospr_engine").parts[0].removesuffix(".py")
    if part == "__init__":
        return
    own = rank(part)
    assert own is not None, f"{part} has no layer yet: give it one in LAYERS"
    for other in imports(path, "prospr_engine"):
        there = rank(other)
        if there is None or other == part:
            continue
        assert there <= own, f"{path} imports {other}, which lies above it"
        if there == own and LAYERS[own][0] == "apart":
            raise AssertionError(f"{path} imports its sibling {other}")


@pytest.mark.parametrize("path", ENGINE_FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_engine_knows_no_screen(path):
    text = path.read_text("utf-8")
    for name in ("streamlit", "altair", "app"):
        assert f"import {name}\n" not in text
        assert f"from {name}" not in text


@pytest.mark.parametrize(
    "path", sorted((ROOT / "app").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_app_has_one_door_to_the_engine(path):
    part = path.relative_to(ROOT / "app").parts[0].removesuffix(".py")
    if imports(path, "prospr_engine"):
        assert part == "services", f"{path} goes past app/services.py"
    if path == ROOT / "app" / "__init__.py":
        return
    own = app_rank(part)
    for other in imports(path, "app"):
        assert app_rank(other) <= own, f"{path} imports {other}, which lies above it"


def app_rank(part: str) -> int:
    found = [i for i, names in enumerate(APP_LAYERS) if part in names]
    assert found, f"{part} has no layer in the app yet: give it one in APP_LAYERS"
    return found[0]


def test_a_part_of_the_app_without_a_layer_is_told():
    with pytest.raises(AssertionError, match="no layer in the app yet"):
        app_rank("newcomer")


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import prospr_engine",
        "import prospr_engine as pe; list(pe.METHODS); list(pe.MODELS); list(pe.DATASETS)",
        "import prospr_engine as pe; pe.RunConfig().fingerprint",
        "import prospr_engine.cli",
    ],
)
def test_looking_around_imports_nothing_heavy(statement):
    loaded = modules_after(statement)
    assert not loaded & {"torch", "torchvision", "onnx", "onnxruntime", "sklearn", "streamlit"}


def test_scoring_imports_neither_torchvision_nor_onnx():
    loaded = modules_after("import prospr_engine as pe; pe.score, pe.Masks")
    assert "torch" in loaded
    assert not loaded & {"torchvision", "onnx", "onnxruntime", "sklearn"}


def test_onnx_runtime_is_told_not_to_collect_anything_before_it_is_imported():
    code = (
        "import os, sys; os.environ.pop('ORT_DISABLE_TELEMETRY', None)\n"
        "import numpy as np, onnx; from onnx import helper as h\n"
        "from prospr_engine.export import runtime\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "x, y = (h.make_tensor_value_info(n, 1, [1]) for n in 'xy')\n"
        "g = h.make_graph([h.make_node('Relu', ['x'], ['y'])], 'g', [x], [y])\n"
        "m = h.make_model(g, opset_imports=[h.make_opsetid('', 20)], ir_version=10)\n"
        "runtime.run(m.SerializeToString(), [np.zeros(1, np.float32)])\n"
        "assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_every_public_name_exists():
    import prospr_engine as pe

    for name in pe.__all__:
        assert getattr(pe, name) is not None
    assert set(pe.__all__) <= set(dir(pe))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pe.nothing
