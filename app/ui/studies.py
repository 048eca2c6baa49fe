"""Names, settings, progress and explanations of studies."""

from __future__ import annotations

from collections.abc import Sequence

from app.services import (
    CHANNELS,
    WEIGHTS,
    ConfigError,
    SearchConfig,
    Study,
    SweepConfig,
    is_control,
)
from app.ui.format import counted, listed, percentages
from app.ui.labels import BUDGETS
from app.ui.titles import (
    OTHER_VERSION,
    control_label,
    data_label,
    method_label,
    model_label,
    other_settings,
)

FIRST_SEED = "First seed"
GOALS = {
    # goal of a search: its limit
    "Accuracy": "Points of accuracy lost, at most",
    "File size": "Kilobytes zipped, at most",
    "Multiply-adds": "Million multiply-adds, at most",
    "Latency": "Milliseconds for one image, at most",
}
KINDS = {"sweep": "Sweep", "search": "Search"}
ICONS = {
    "Waiting": ":gray[:material/schedule:]",
    "Running": ":blue[:material/pending:]",
    "Stopping": ":blue[:material/pending:]",
    "Done": ":green[:material/check_circle:]",
    "Done, with failures": ":orange[:material/warning:]",
    "Failed": ":red[:material/error:]",
    "Stopped": ":gray[:material/stop_circle:]",
}
MOST_NAMED = 4  # criteria in a line; the last may be "3 more"

HOW_SWEEP = (
    "Which criterion keeps the most accuracy, and at which sparsity? Compare criteria on the same "
    "network and images, at several sparsities and seeds."
)
HOW_SEARCH = "How sparse can the network get? Set a goal, and the search finds the sparsity."
SWEEP = """\
## What a sweep does

1. **Each combination is a run** with its own page: every criterion, at every sparsity, with every
   seed.
2. **Nothing is computed twice.** The dense network is trained once per seed, and scores are reused
   for all sparsities where the criterion allows it.
3. **You can close the page.** Runs are computed one after the other, with other visitors' runs in
   between. Results appear as they come, and a failed run does not stop the rest.
4. **Error bars** come from the seeds. With three or more you can see which differences are noise.
"""
SEARCH = """\
## What a search does

1. **It tries a sparsity**, trains the pruned network, and checks whether it meets the goal.
2. **It narrows the range** between a sparsity that meets the goal and one that does not, until
   another try would make no difference.
3. **Every try is a run** with its own page and a file to download.
4. **The result is a network that was tested.** Sparsities between tries are not.
"""


def title(study: Study) -> str:
    """The name that a study was given, or else ``Sweep: Small CNN on Digits``."""
    run = study.settings.get("run", {})
    model, data = (str(run.get(name)) for name in ("model", "data"))
    return study.name or f"{KINDS[study.kind]}: {model_label(model)} on {data_label(data)}"


def of(study: Study) -> str:
    """The settings of ``study`` in one line, or that they cannot be read."""
    try:
        config = study.config
    except ConfigError:
        return OTHER_VERSION
    return of_sweep(config) if isinstance(config, SweepConfig) else of_search(config)


def of_sweep(config: SweepConfig) -> str:
    """``Small CNN · Digits · ProsPr, SNIP and 4 more · 80, 95 % removed · 3 seeds · 3 epochs``."""
    parts = [
        model_label(config.run.model),
        data_label(config.run.data),
        _named([method_label(name) for name in config.methods]),
        _removed(config),
        counted(len(config.seeds), "seed"),
        counted(config.run.epochs, "epoch"),
    ]
    if config.steps:
        parts.append(f"{', '.join(map(str, config.steps))} look-ahead steps")
    if controls := [control_label(name) for name in config.controls if is_control(name)]:
        parts.append(f"controls: {', '.join(controls)}")
    return " · ".join([*parts, *other_settings(config.run)])


def of_search(config: SearchConfig) -> str:
    """``Small CNN · Digits · ProsPr · at most 1 point lost · 1 seed · 3 epochs``"""
    parts = [
        model_label(config.run.model),
        data_label(config.run.data),
        method_label(config.run.method),
        *(["channels"] if config.run.kind == CHANNELS else []),
        goal(config),
        counted(len(config.seeds), "seed"),
        counted(config.run.epochs, "epoch"),
    ]
    return " · ".join([*parts, *other_settings(config.run)])


def goal(config: SearchConfig) -> str:
    """``at most 1 point of accuracy lost``, ``at most 100 kB zipped``."""
    return config.goal.limit(config.limit)


def state(study: Study) -> str:
    """The state of a study, a key of ``ICONS``."""
    counts = study.counts
    if study.live:
        if study.stopped:
            return "Stopping"
        begun = counts["running"] or counts["done"] or counts["failed"]
        return "Running" if begun else "Waiting"
    if counts["stopped"] or study.stopped:
        return "Stopped"
    if counts["failed"]:
        return "Done, with failures" if counts["done"] else "Failed"
    return "Done"


def progress(study: Study) -> str:
    """``12 of 54 runs done, 1 failed``; how many tries a search will take is unknown."""
    counts = study.counts
    done = counts["done"]
    if study.kind == "search" and study.live:
        text = f"{counted(done, 'run')} done so far"
    else:
        text = f"{done:,} of {counted(study.cells, 'run')} done"
    return text + (f", {counts['failed']:,} failed" if counts["failed"] else "")


def share(study: Study) -> float:
    """The fraction of its runs that have ended."""
    ended = sum(study.counts[name] for name in ("done", "failed", "stopped"))
    return ended / study.cells if study.cells else 0.0


def shape(config: SweepConfig) -> str:
    """The grid of runs: ``6 criteria × 3 sparsities × 2 seeds``."""
    parts = [
        counted(len(config.methods), "criterion", "criteria"),
        counted(len(config.sparsities), "sparsity", "sparsities"),
        counted(len(config.seeds), "seed"),
    ]
    if len(config.steps) > 1:
        parts.append(f"{len(config.steps)} numbers of look-ahead steps")
    if len(config.kinds) > 1:
        parts.append(f"{len(config.kinds)} kinds of pruning")
    if len(config.controls) > 1:
        added = len(config.controls) - 1
        parts.append(f"{len(config.controls)} (with {counted(added, 'control')})")
    return " × ".join(parts)


def _named(labels: Sequence[str]) -> str:
    return listed(labels, MOST_NAMED)


def _removed(config: SweepConfig) -> str:
    """``80, 95 % removed``, ``50 % of the multiply-adds removed as channels``."""
    share, run = percentages(config.sparsities), config.run
    if config.kinds == (WEIGHTS,):
        return f"{share} removed"
    what = BUDGETS[run.channel_budget].lower()
    if config.kinds == (CHANNELS,):
        return f"{share} of the {what} removed as channels"
    if run.channel_budget == next(iter(BUDGETS)):
        return f"{share} removed as weights and as channels"
    return f"{share} removed as weights and, of the {what}, as channels"
