"""The command ``score``: scores and masks, without training."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from prospr_engine.cli import render
from prospr_engine.cli.settings import OWN_FOLDER, add_settings, config_of, folder_of, show
from prospr_engine.errors import ConfigError
from prospr_engine.pipeline.record import RESULT


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command("score", score, "score and prune without training; print what each layer keeps")
    add_settings(sub)
    sub.add_argument("--out", help=f"folder for scores and masks {OWN_FOLDER}")


def score(parsed: argparse.Namespace) -> int:
    """Score, make the masks, and save both."""
    from prospr_engine.pipeline.prune import prune
    from prospr_engine.pipeline.setup import prepare

    config = config_of(parsed)
    out = folder_of(parsed, config)
    if (out / RESULT).exists():
        raise ConfigError(f"{out} contains a finished run; choose another folder for the scores.")
    with render.progress(quiet=parsed.quiet) as on_event:
        pruning = prune(prepare(config, on_event), on_event)
    pruning.scores.save(out / "scores.safetensors")
    pruning.masks.save(out / "masks.safetensors")
    show(parsed, pruning.to_dict() | {"out": str(out)}, render.print_pruning)
    return 0
