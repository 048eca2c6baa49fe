"""What stays light: pages, the store and looking around need neither PyTorch nor the rest."""

from __future__ import annotations

import json

import pytest
from processes import python

# In this order, in one process: whatever a later one may import, none of the earlier ones does.
PLAIN = [
    "import prospr_engine as pe; list(pe.METHODS); list(pe.MODELS); list(pe.DATASETS)",
    "import prospr_engine as pe; pe.RunConfig().fingerprint",
    "import prospr_engine.data, prospr_engine.export",
    "from prospr_engine.models import MODELS; [MODELS[name] for name in MODELS]",
    "from prospr_engine.models.collections import listed_names; listed_names()",
    "from prospr_engine.config import RunConfig\n"
    "from prospr_engine.models.measures import known\n"
    "from prospr_engine.pipeline.estimate import estimate\n"
    "from prospr_engine.pipeline.images import catalogue\n"
    "estimate(RunConfig(), catalogue('digits'), known('small_cnn', 1, 8, 10))",
    "from prospr_engine.sweeps.config import SweepConfig\n"
    "from prospr_engine.sweeps.table import row\n"
    "row(SweepConfig().cells()[0], None)",
    "import prospr_engine.sweeps.bisection, prospr_engine.sweeps.report",
    "import prospr_engine.jobs.worker",
    "import prospr_engine.cli.main",
]
WITHOUT_TORCH = [
    "import prospr_engine.data.preview",
    "from app.learn import pictures, words; words.facts()",
    "from app.try_it import changed, image",
    "from app.services import comparison, overlap, compared_results, searches",
]
HEAVY = {
    "torch",
    "torchvision",
    "timm",
    "huggingface_hub",
    "sklearn",
    "onnx",
    "onnxruntime",
    "onnxscript",
}
NOT_PLAIN = HEAVY | {"numpy", "pandas", "PIL", "streamlit"}

CODE = """
import json, sys
for statement in json.loads(sys.argv[1]):
    before = {*sys.modules}
    exec(statement, {})
    print(json.dumps(sorted(name for name in {*sys.modules} - before if "." not in name)))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """The packages that each of the statements brings."""
    statements = [*PLAIN, *WITHOUT_TORCH]
    done = python("-W", "ignore", "-c", CODE, json.dumps(statements))
    assert done.returncode == 0, done.stderr
    lines = [{*json.loads(line)} for line in done.stdout.splitlines() if line.startswith("[")]
    return dict(zip(statements, lines, strict=True))


@pytest.mark.parametrize("statement", PLAIN)
def test_plain_data_needs_the_standard_library_only(loaded, statement):
    assert not loaded[statement] & NOT_PLAIN


@pytest.mark.parametrize("statement", WITHOUT_TORCH)
def test_pages_and_previews_need_no_torch(loaded, statement):
    assert not loaded[statement] & HEAVY
