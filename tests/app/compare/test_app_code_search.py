"""The code that does a budget search again: read by the command line, run as a program."""

from __future__ import annotations

import shlex

import pytest

from app.compare import code_search
from app.services import SearchConfig
from prospr_engine.config import LoadingConfig, ScoringConfig, TrainingConfig

EVERYTHING = SearchConfig.of(
    model="mlp",
    method="snip",
    control="shuffle",
    epochs=2,
    most_lost=0.015,
    seeds=[0, 3],
    lowest=0.5,
    highest=0.99,
    most_probes=4,
    loading=LoadingConfig(train_limit=100, skip_broken=True),
    scoring=ScoringConfig(batch_size=32),
    training=TrainingConfig(lr=0.1),
)
SMALL = SearchConfig.of(
    model="mlp",
    method="magnitude",
    epochs=0,
    most_bytes=20_000,
    most_probes=2,
    loading=LoadingConfig(train_limit=300, test_limit=100),
)


FEW = SearchConfig.of(kind="channels", channel_budget="operations", most_operations=20_500_000)
FAST = SearchConfig.of(kind="channels", most_ms=0.75)


@pytest.mark.parametrize("config", [EVERYTHING, SMALL, FEW, FAST])
def test_the_command_line_reads_it_as_the_same_search(config):
    from prospr_engine.cli import main
    from prospr_engine.cli import search as cli_search

    words = shlex.split(code_search.search_command(config, threads=2))[4:]
    assert cli_search.config_of(main._parser().parse_args(words)) == config


def test_the_program_really_searches(tmp_path, capsys):
    program = code_search.search_program(SMALL, threads=1, out=str(tmp_path / "out"))
    exec(program, {})
    assert SearchConfig.read(tmp_path / "out" / "search.json") == SMALL
    assert "kB" in capsys.readouterr().out
    assert (tmp_path / "out" / "trail.csv").exists()


def test_the_program_holds_the_same_search():
    text = code_search.search_program(EVERYTHING, threads=2)
    body = text[text.index("result = ") : text.index("print(result")]

    class Engine:
        LoadingConfig, ScoringConfig, TrainingConfig = LoadingConfig, ScoringConfig, TrainingConfig

        @staticmethod
        def search(out, on_event, **settings):
            return SearchConfig.of(**settings)

    names: dict = {"pe": Engine, "report": print}
    exec(body, names)
    assert names["result"] == EVERYTHING
