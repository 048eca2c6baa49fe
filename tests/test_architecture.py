"""Imports point down, pages stand apart, and what must stay light stays light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from paths import ROOT

# From the bottom to the top. A module may import from its own package and from the layers below;
# the packages of a layer stand side by side and do not import each other.
LAYERS = [
    ["errors", "format", "version"],
    ["registry", "events"],
    ["guard"],
    ["io"],
    ["identity", "overrides"],
    ["config"],
    ["metrics"],
    ["network"],
    ["pruning"],
    ["saliency", "structured", "models", "data", "training", "export"],
    ["pipeline"],
    ["sweeps", "report"],
    ["store"],
    ["jobs"],
    ["cli"],
    ["__main__"],
]
# Within the pipeline: each module may import those before it.
PIPELINE = [
    "pruning_record",
    "record",
    "course",
    "divergence",
    "size_curve",
    "gallery",
    "rates",
    "images",
    "remainder",
    "estimate",
    "result",
    "cache",
    "calibration",
    "own_graph",
    "checkpoint",
    "given",
    "normalisation",
    "setup",
    "channels",
    "train",
    "prune",
    "predict",
    "files",
    "run",
]
PAGES = ["new_run", "sweep", "run", "runs", "compare", "try_it", "learn"]
APP_LAYERS = [
    ["services", "access", "pages", "presets"],
    ["session"],
    ["ui", "charts", "forms"],
    PAGES,
    ["dashboard", "serving"],
    ["streamlit_app"],
]
MOST_AT_THE_TOP = 12


def modules(package: str) -> dict[str, Path]:
    """Every module of ``package`` by its dotted name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {**modules("prospr_engine"), **modules("app")}


def imports(path: Path, top_level_only: bool = False) -> Iterator[str]:
    """The project's modules that a file imports, by their dotted names; those for type checkers
    alone do not count."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in tree.body if top_level_only else ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert not node.level, f"{path}: relative imports hide where they point"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            while name and name not in MODULES:
                name = name.rpartition(".")[0]
            if name:
                yield name


def part(module: str) -> str:
    """The package or module at the top level that ``module`` belongs to."""
    return module.split(".")[1] if "." in module else ""


def layer(name: str, layers: list[list[str]]) -> int:
    found = [number for number, names in enumerate(layers) if name in names]
    assert found, f"{name} has no layer yet: give it one in {__file__}"
    return found[0]


ENGINE = [name for name in MODULES if name.startswith("prospr_engine.")]
APP = [name for name in MODULES if name.startswith("app.")]


@pytest.mark.parametrize("module", ENGINE)
def test_engine_imports_point_down(module):
    own = layer(part(module), LAYERS)
    for other in imports(MODULES[module]):
        assert other.startswith("prospr_engine"), f"{module} imports {other}: the app"
        if part(other) in ("", part(module)):
            continue
        assert layer(part(other), LAYERS) < own, f"{module} imports {other}: not below it"


@pytest.mark.parametrize("module", [m for m in ENGINE if m.startswith("prospr_engine.pipeline.")])
def test_the_pipeline_is_in_order(module):
    name = module.split(".")[2]
    assert name in PIPELINE, f"{name} has no place in PIPELINE yet"
    for other in imports(MODULES[module]):
        if other.startswith("prospr_engine.pipeline."):
            before = PIPELINE.index(other.split(".")[2])
            assert before < PIPELINE.index(name), f"{module} imports {other}, which comes after it"


@pytest.mark.parametrize("module", APP)
def test_app_imports_point_down(module):
    own = layer(part(module), APP_LAYERS)
    for other in imports(MODULES[module]):
        if not other.startswith("app.") or part(other) == part(module):
            continue
        there = layer(part(other), APP_LAYERS)
        assert there <= own, f"{module} imports {other}, which lies above it"
        assert not {part(module), part(other)} <= {*PAGES}, f"{module} imports the page of {other}"


@pytest.mark.parametrize("module", APP)
def test_the_app_has_one_door_to_the_engine(module):
    found = {other for other in imports(MODULES[module]) if other.startswith("prospr_engine")}
    # Pure functions of plain values, for which no service is needed.
    found = {other for other in found if not other.startswith("prospr_engine.report.charts")}
    if module == "app.ui.format":
        found.discard("prospr_engine.format")
    if found:
        assert part(module) in ("services", "access"), f"{module} goes past app/services"


def packages(path: Path) -> set[str]:
    """The packages that a file imports, ours and others."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("module", ENGINE)
def test_the_engine_needs_no_package_of_the_dashboard(module):
    assert not packages(MODULES[module]) & {"streamlit", "altair"}


@pytest.mark.parametrize("module", [m for m in APP if m.startswith("app.charts.")])
def test_charts_know_no_page(module):
    assert "streamlit" not in packages(MODULES[module])


@pytest.mark.parametrize("module", [m for m in APP if "chart" in m])
def test_charts_use_no_services(module):
    """From a table to a chart: whatever is computed was computed before."""
    for other in imports(MODULES[module]):
        assert part(other) not in ("access", "forms"), f"{module} imports {other}"
        # The tables of criteria and controls are plain data; a service computes or reads.
        assert not other.startswith("app.services."), f"{module} imports {other}"


def test_only_access_compares_owners():
    for name in APP:
        for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
            if isinstance(node, ast.Compare) and name != "app.access":
                sides = map(ast.unparse, [node.left, *node.comparators])
                found = [side for side in sides if side.endswith(".owner") or "visitor()" in side]
                assert not found, f"{name} compares {found}: ask app.access"


def test_statistics_have_one_home():
    for name, path in MODULES.items():
        text = path.read_text("utf-8")
        if "scipy" in text:
            assert name == "prospr_engine.sweeps.statistics", f"{name} computes statistics"
        if name.startswith("app.") and part(name) != "services":
            assert not re.search(r"sqrt|stdev|stdtrit|1\.96|from statistics|\bf?mean\(", text), (
                f"{name} computes statistics"
            )


@pytest.mark.parametrize("package", ["prospr_engine", "app"])
def test_no_import_runs_in_a_circle(package):
    own = {name: path for name, path in MODULES.items() if name.split(".")[0] == package}
    # An import inside a function would hide a circle: all of them count.
    arrows = {name: {*imports(path)} & {*own} - {name} for name, path in own.items()}
    # Of a package only its __init__ is meant; whoever imports it has not imported its modules.
    while free := {name for name, targets in arrows.items() if not targets & {*arrows}}:
        arrows = {name: targets for name, targets in arrows.items() if name not in free}
    assert not arrows, f"circles among {sorted(arrows)}"


def test_benchmarks_need_no_tests():
    own = {path.stem for path in (ROOT / "tests").rglob("*.py")} | {"tests"}
    for path in (ROOT / "benchmarks").glob("*.py"):
        text = path.read_text("utf-8")
        for module in re.findall(r"^\s*(?:from|import) ([\w.]+)", text, re.MULTILINE):
            assert module.split(".")[0] not in own, f"{path.name} imports {module}"


def test_the_engine_has_few_rooms_at_the_top():
    files = [path.name for path in (ROOT / "prospr_engine").glob("*.py")]
    assert len(files) <= MOST_AT_THE_TOP, sorted(files)


def test_a_part_without_a_layer_is_noticed():
    with pytest.raises(AssertionError, match="no layer yet"):
        layer("newcomer", APP_LAYERS)


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(result.stdout.split())


def test_scoring_imports_neither_torchvision_nor_onnx():
    loaded = modules_after("import prospr_engine as pe; pe.score, pe.Masks")
    assert "torch" in loaded
    assert not loaded & {"torchvision", "onnx", "onnxruntime", "sklearn"}


def test_telemetry_of_onnx_runtime_is_off_before_it_is_imported():
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
