"""The page of a run that removed channels."""

from __future__ import annotations

import pytest
from app_fakes import finished, record
from app_run import opened

from app.services import Check, Width
from app.ui.answer import answer
from app.ui.proof import explained
from app.ui.titles import removed
from prospr_engine.config import RunConfig
from prospr_engine.report.charts import widths
from prospr_engine.report.charts.colours import LIGHT
from prospr_engine.store.store import Store

STRUCTURE = {
    "budget": "parameters", "requested": 0.6, "achieved": 0.61,
    "channels": {"before": 48, "after": 32},
    "parameters": {"before": 5000, "after": 1950},
    "operations": {"before": 40_000_000, "after": 18_000_000},
    "widths": [
        {"layer": "conv1", "before": 16, "after": 16},
        {"layer": "conv2", "before": 32, "after": 16},
    ],
}  # fmt: skip
CONFIG = RunConfig(kind="channels", sparsity=0.6)


def test_the_page_shows_widths_and_operations(store: Store):
    run = finished(store, config=CONFIG, structure=STRUCTURE)
    at = opened(run)
    assert not at.exception
    shown = {metric.label: metric.value for metric in at.metric}
    assert shown["Multiply-adds kept"] == "18 million"
    texts = " ".join(text.value for text in at.markdown)
    assert "32 of 48 (66.7" in texts
    assert "Channels kept in each layer" in texts
    assert "Weights kept in each layer" not in texts
    captions = " ".join(text.value for text in at.caption)
    assert "Controls move single weights" in captions
    assert "No zeros are left" in captions
    assert "Does the choice of channels matter?" in [heading.value for heading in at.subheader]


def test_the_page_of_weights_speaks_of_weights(store: Store):
    at = opened(finished(store))
    assert not at.exception
    assert "No zeros are left" not in " ".join(text.value for text in at.caption)
    assert "Does the choice of weights matter?" in [heading.value for heading in at.subheader]


def test_the_headline_says_that_channels_went():
    result = record({"structure": STRUCTURE})
    assert "of the weights removed with their channels" in answer(result)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ("parameters", "60 % of the weights removed as channels"),
        ("operations", "60 % of the multiply-adds removed as channels"),
        ("channels", "60 % of the channels removed"),
    ],
)
def test_the_title_says_what_the_share_is_of(budget: str, words: str):
    config = RunConfig(kind="channels", sparsity=0.6, channel_budget=budget)
    assert removed(config).replace("\N{NO-BREAK SPACE}", " ") == words
    assert removed(RunConfig(sparsity=0.6)).replace("\N{NO-BREAK SPACE}", " ") == "60 % removed"


def test_the_chart_has_a_bar_within_a_bar():
    rows = widths.table([Width("conv1", 16, 16), Width("0.2", 32, 8)])
    assert rows["layer"].tolist() == ["conv1", "Layer 2"]
    assert rows["counts"].tolist() == ["1|16 of 16", "2|8 of 32"]
    assert "Layer 2 8 of 32" in widths.description(rows)
    spec = widths.chart(2, LIGHT)
    fields = [layer["encoding"]["x"].get("field") for layer in spec["layer"]]
    assert fields == ["before", "after", None]


def test_the_proof_speaks_of_channels():
    checks = [Check("zeros", True, "0 of 10."), Check("masks", True, "They match.")]
    assert explained(checks)[0][1] == "The removed weights are zero."
    assert explained(checks, channels=True)[0][1] == "The removed channels are not in the file."
