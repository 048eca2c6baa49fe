"""Prune neural networks before training with ProsPr meta-gradients, and prove what comes out.

    import prospr_engine as pe
    scores = pe.score(model, batches, method="prospr", steps=3, lr=0.1)
    masks = scores.masks(sparsity=0.95)
    result = pe.run(pe.RunConfig(model="resnet20", data="cifar10", sparsity=0.95))
    table = pe.sweep(methods=["prospr", "snip"], sparsities=[0.8, 0.95], seeds=[0, 1])

Names are imported on first use, so that looking at the tables needs neither torch nor onnx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from prospr_engine.version import VERSION

__version__ = VERSION

_HOMES = {
    "METHODS": "saliency",
    "score": "saliency.score",
    "Scores": "saliency.base",
    "Masks": "pruning.masks",
    "MODELS": "models",
    "build_model": "models.build",
    "import_onnx": "models.imports.network_file",
    "DATASETS": "data",
    "load_data": "data.load",
    "examine": "pruning.health",
    "shrink": "pipeline.channels",
    "export_onnx": "export.export",
    "verify": "export.verify",
    "run": "pipeline.run",
    "RunResult": "pipeline.result",
    "bundle": "report.bundle",
    "RunConfig": "config",
    "LoadingConfig": "config",
    "ScoringConfig": "config",
    "TrainingConfig": "config",
    "EngineError": "errors",
    "sweep": "sweeps.run",
    "SweepConfig": "sweeps.config",
    "search": "sweeps.search",
    "SearchConfig": "sweeps.search_config",
}
_NAMES_THERE = {"build_model": "build", "load_data": "load"}

__all__ = [
    "DATASETS",
    "METHODS",
    "MODELS",
    "EngineError",
    "LoadingConfig",
    "Masks",
    "RunConfig",
    "RunResult",
    "Scores",
    "ScoringConfig",
    "SearchConfig",
    "SweepConfig",
    "TrainingConfig",
    "build_model",
    "bundle",
    "examine",
    "export_onnx",
    "import_onnx",
    "load_data",
    "run",
    "score",
    "search",
    "shrink",
    "sweep",
    "verify",
]

if TYPE_CHECKING:
    from prospr_engine.config import LoadingConfig, RunConfig, ScoringConfig, TrainingConfig
    from prospr_engine.data import DATASETS
    from prospr_engine.data.load import load as load_data
    from prospr_engine.errors import EngineError
    from prospr_engine.export.export import export_onnx
    from prospr_engine.export.verify import verify
    from prospr_engine.models import MODELS
    from prospr_engine.models.build import build as build_model
    from prospr_engine.models.imports.network_file import import_onnx
    from prospr_engine.pipeline.channels import shrink
    from prospr_engine.pipeline.run import RunResult, run
    from prospr_engine.pruning.health import examine
    from prospr_engine.pruning.masks import Masks
    from prospr_engine.report.bundle import bundle
    from prospr_engine.saliency import METHODS
    from prospr_engine.saliency.base import Scores
    from prospr_engine.saliency.score import score
    from prospr_engine.sweeps.config import SweepConfig
    from prospr_engine.sweeps.run import sweep
    from prospr_engine.sweeps.search import search
    from prospr_engine.sweeps.search_config import SearchConfig


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOMES[name]}")
    value = getattr(module, _NAMES_THERE.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
