"""What a study is of, how far it is, and what its form says."""

from __future__ import annotations

from collections.abc import Sequence

from app.services import ConfigError, SearchConfig, Study, SweepConfig, is_control
from app.ui.code import EVERYDAY, changed
from app.ui.format import counted, exact_kilobytes, listed, percentages, plural, to_percent
from app.ui.titles import OTHER_VERSION, control_label, data_label, method_label, model_label

FIRST_SEED = "First seed"
GOALS = {
    # goal of a search: its limit
    "Accuracy": "Points of accuracy lost, at most",
    "File size": "Kilobytes zipped, at most",
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
MOST_NAMED = 4  # criteria in a line, the last of which may say how many more there are

HOW_SWEEP = (
    "Which criterion, and how sparse, before it breaks? Compare them on the same footing: the same "
    "network and images, several sparsities, several seeds."
)
HOW_SEARCH = "How sparse may it get? Set a goal, and the search finds the sparsity."
SWEEP = """\
## What a sweep does

1. **Every combination is a run** of its own, with a page of its own: each criterion, at each
   sparsity, from each seed.
2. **Nothing is computed twice.** The full network is trained once per seed, and a criterion that
   ranks the weights once is asked once for all sparsities.
3. **You may close the page.** The runs are done one after the other, single runs of others in
   between; what is done shows at once, and one that fails does not stop the rest.
4. **Error bars** come from the seeds: with three or more it shows which differences are noise.
"""
SEARCH = """\
## What a search does

1. **It tries a sparsity**, trains the pruned network, and looks whether it meets the goal.
2. **It goes on in between**: sparser if the goal was met, less sparse if not, until the two are so
   close that another try would tell nothing.
3. **Every try is a run** of its own, with a page of its own and a file to take home; the way there
   is shown try by try.
4. What it finds is a network that was tried. Between two tries it does not look.
"""


def title(study: Study) -> str:
    """What to call a study: by the name that it was given, or ``Sweep: Small CNN on Digits``."""
    run = study.settings.get("run", {})
    model, data = (str(run.get(name)) for name in ("model", "data"))
    return study.name or f"{KINDS[study.kind]}: {model_label(model)} on {data_label(data)}"


def of(study: Study) -> str:
    """The settings of ``study`` in one line, or that they cannot be read any more."""
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
        _removed(config.sparsities),
        counted(len(config.seeds), "seed"),
        counted(config.run.epochs, "epoch"),
    ]
    if config.steps:
        parts.append(f"{', '.join(map(str, config.steps))} steps ahead")
    if controls := [control_label(name) for name in config.controls if is_control(name)]:
        parts.append(f"controls: {', '.join(controls)}")
    return " · ".join([*parts, *_others(config)])


def of_search(config: SearchConfig) -> str:
    """``Small CNN · Digits · ProsPr · at most 1 point lost · 1 seed · 3 epochs``"""
    parts = [
        model_label(config.run.model),
        data_label(config.run.data),
        method_label(config.run.method),
        goal(config),
        counted(len(config.seeds), "seed"),
        counted(config.run.epochs, "epoch"),
    ]
    return " · ".join([*parts, *_others(config)])


def goal(config: SearchConfig) -> str:
    """``at most 1 point of accuracy lost``, ``at most 100 kB zipped``."""
    if config.most_lost is not None:
        lost = to_percent(config.most_lost)
        return f"at most {lost:.4g} {plural(lost, 'point')} of accuracy lost"
    return f"at most {exact_kilobytes(config.most_bytes or 0)} zipped"


def state(study: Study) -> str:
    """One word or two of ``ICONS``."""
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
    """``12 of 54 runs done, 1 failed``; nobody knows how many tries a search will take."""
    counts = study.counts
    done = counts["done"]
    if study.kind == "search" and study.live:
        told = f"{counted(done, 'run')} done so far"
    else:
        told = f"{done:,} of {counted(study.cells, 'run')} done"
    return told + (f", {counts['failed']:,} failed" if counts["failed"] else "")


def share(study: Study) -> float:
    """How much of it is over, between 0 and 1."""
    over = sum(study.counts[name] for name in ("done", "failed", "stopped"))
    return over / study.cells if study.cells else 0.0


def shape(config: SweepConfig) -> str:
    """How its runs come about: ``6 criteria × 3 sparsities × 2 seeds``."""
    parts = [
        counted(len(config.methods), "criterion", "criteria"),
        counted(len(config.sparsities), "sparsity", "sparsities"),
        counted(len(config.seeds), "seed"),
    ]
    if len(config.steps) > 1:
        parts.append(f"{len(config.steps)} numbers of steps where a criterion looks ahead")
    if len(config.controls) > 1:
        added = len(config.controls) - 1
        parts.append(f"{len(config.controls)} (with {counted(added, 'control')})")
    return " × ".join(parts)


def _named(labels: Sequence[str]) -> str:
    return listed(labels, MOST_NAMED)


def _removed(sparsities: Sequence[float]) -> str:
    return f"{percentages(sparsities)} removed"


def _others(config: SweepConfig | SearchConfig) -> list[str]:
    """How many settings besides differ from their defaults."""
    told = (*EVERYDAY, "control")
    more = sum(option.name not in told for _, option, _ in changed(config.run))
    more += len(config.run.scoring.options)
    return [f"{counted(more, 'other setting')} changed"] if more else []
