"""The command ``search``: the sparsity that meets a budget, here or in the store."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from prospr_engine.cli import store_runs
from prospr_engine.cli.settings import add_settings, add_store, given, number, show
from prospr_engine.errors import ConfigError, Stopped
from prospr_engine.events import CellEnded, Event, OnEvent, StageStarted, ignore
from prospr_engine.format import GIGA, KILO, MEGA, brief, read_size, to_fraction
from prospr_engine.sweeps.reach import reachable
from prospr_engine.sweeps.report import outcome, probe_line
from prospr_engine.sweeps.search import Probed, SearchResult, first_guess
from prospr_engine.sweeps.search import search as do
from prospr_engine.sweeps.search_config import SEARCHED, Probe, SearchConfig, judge

FACTORS = {"K": KILO, "M": MEGA, "G": GIGA}
PLAIN = ("lowest", "highest", "most_probes")


def add(command: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    sub = command(
        "search",
        search,
        "find the sparsity that meets a limit on lost accuracy, file size, multiply-adds or time",
    )
    add_settings(sub, "search.json of a search", but=SEARCHED)
    sub.add_argument(
        "--max-loss",
        metavar="POINTS",
        help="find the sparsest network that loses at most this many points of accuracy "
        "against the dense one (mean over the seeds)",
    )
    sub.add_argument(
        "--max-size",
        metavar="SIZE",
        help="find the least sparse network whose zipped ONNX file has at most this size, e.g. "
        "100kB, 0.1MB or 100000 (1 kB is 1,000 bytes). The unzipped file stores zeros too and "
        "has the same size at every sparsity",
    )
    sub.add_argument(
        "--most-operations",
        metavar="NUMBER",
        help="find the least sparse network that needs at most this many multiply-adds for one "
        "image, e.g. 20000000 or 20M; with --kind channels",
    )
    sub.add_argument(
        "--most-ms",
        metavar="MS",
        help="find the least sparse network whose ONNX file takes at most this many milliseconds "
        "for one image in ONNX Runtime on this machine; with --kind channels",
    )
    default = SearchConfig(most_lost=0.0)
    sub.add_argument("--seeds", metavar="LIST", help="seeds, e.g. 0,1,2 (default: 0)")
    sub.add_argument(
        "--lowest",
        metavar="SPARSITY",
        help=f"lowest sparsity to try, e.g. 0.5 or 50%% (default: {default.lowest:g})",
    )
    sub.add_argument(
        "--highest",
        metavar="SPARSITY",
        help=f"highest sparsity to try (default: {default.highest:g})",
    )
    sub.add_argument(
        "--max-tries",
        dest="most_probes",
        metavar="N",
        help=f"maximum number of sparsities to try (default: {default.most_probes})",
    )
    sub.add_argument(
        "--out",
        help="folder for the results; a search in it is resumed "
        "(default: runs/search-, then the fingerprint of the settings)",
    )
    add_store(sub, "search")


def search(parsed: argparse.Namespace) -> int:
    """Search; returns 1 if no network met the goal."""
    config = config_of(parsed)
    if parsed.store is not None and parsed.out:
        raise ConfigError("With --store the files stay in the store; leave out --out.")
    with _progress(parsed.quiet) as on_event:
        if parsed.store is None:
            out = Path(parsed.out) if parsed.out else _folder(config)
            result = do(config, out=out, on_event=on_event)
        else:
            result = _in_store(config, parsed.store, parsed.name, on_event)
    show(parsed, result.to_dict(), _print)
    return 0 if result.found is not None else 1


def _folder(config: SearchConfig) -> Path:
    """Where the files of a search go; one that version 0.3.0 began goes on where it is."""
    earlier = Path("runs") / f"search-{config.legacy_fingerprint}"
    return earlier if earlier.exists() else Path("runs") / f"search-{config.fingerprint}"


def config_of(parsed: argparse.Namespace) -> SearchConfig:
    """The settings of ``--config`` or the defaults, overridden by the flags given."""
    limits = {
        setting: (flag, read, text)
        for setting, (flag, read) in LIMITS.items()
        if (text := getattr(parsed, flag)) is not None
    }
    if len(limits) > 1:
        flags = " or ".join(f"--{flag.replace('_', '-')}" for flag, _, _ in limits.values())
        raise ConfigError(f"A search has one goal; give either {flags}.")
    if parsed.config:
        values = SearchConfig.read(parsed.config).to_dict()
    elif not limits:
        raise ConfigError(
            "Set a goal: --max-loss 1 (points of accuracy), --max-size 100kB (of the zipped "
            "file), --most-operations 20M (multiply-adds) or --most-ms 2 (time for one image)."
        )
    else:
        values = SearchConfig(most_lost=0.0).to_dict()
    given(parsed, values["run"])
    for setting, (_, read, text) in limits.items():
        values.update(dict.fromkeys(LIMITS), **{setting: read(text)})
    if parsed.seeds is not None:
        values["seeds"] = [seed.strip() for seed in parsed.seeds.split(",") if seed.strip()]
    for name in PLAIN:
        text = getattr(parsed, name)
        if text is not None:
            values[name] = number(text)
    return SearchConfig.from_dict(values)


def points(text: str) -> float:
    """``"0.5"`` (or ``"0.5%"``) points. Raises ``ConfigError``."""
    with contextlib.suppress(ValueError):
        value = float(text.strip().removesuffix("%"))
        if 0 <= value <= 100:
            return value
    raise ConfigError(
        f"--max-loss is {brief(text)}; give points of accuracy from 0 to 100, e.g. 1 or 0.5."
    )


def size(text: str) -> int:
    """``"100kB"`` is 100000 bytes. Raises ``ConfigError``."""
    bytes = read_size(text)
    if bytes is not None:
        return bytes
    raise ConfigError(
        f"--max-size is {brief(text)}; give a size such as 100kB, 0.1MB or 100000, which all "
        "mean the same: 1 kB is 1,000 bytes."
    )


def operations(text: str) -> int:
    """``"20M"`` is 20 million. Raises ``ConfigError``."""
    number, factor = text.strip(), 1
    if number[-1:].upper() in FACTORS:
        number, factor = number[:-1], FACTORS[number[-1].upper()]
    with contextlib.suppress(ValueError, OverflowError):
        value = round(float(number) * factor)
        if value >= 1:
            return value
    raise ConfigError(
        f"--most-operations is {brief(text)}; give a number of multiply-adds, e.g. 20000000 or 20M."
    )


def milliseconds(text: str) -> float:
    """``"2.5"`` (or ``"2.5ms"``) milliseconds. Raises ``ConfigError``."""
    with contextlib.suppress(ValueError):
        value = float(text.strip().removesuffix("ms"))
        if 0 < value < math.inf:
            return value
    raise ConfigError(f"--most-ms is {brief(text)}; give milliseconds, e.g. 2 or 0.5.")


LIMITS: dict[str, tuple[str, Callable[[str], float]]] = {
    "most_lost": ("max_loss", lambda text: to_fraction(points(text))),
    "most_bytes": ("max_size", size),
    "most_operations": ("most_operations", operations),
    "most_ms": ("most_ms", milliseconds),
}
"""The flag of every goal, and the function that reads it."""


def _in_store(config: SearchConfig, folder: str, name: str, on_event: OnEvent) -> SearchResult:
    """Let the worker of the store do it."""
    started = time.perf_counter()
    config = reachable(config)
    trail: list[Probe] = []
    rows: list[Mapping[str, Any]] = []

    def judge_rows(event: Event) -> None:
        on_event(event)
        if isinstance(event, CellEnded):
            rows.append(event.row)
            if event.row["state"] == "stopped":
                raise Stopped("The search was stopped by someone else.")
            if len(rows) == len(config.seeds):
                probe = _probe(config, rows)
                rows.clear()
                trail.append(probe)
                values, text = dataclasses.asdict(probe), probe_line(config, probe)
                on_event(Probed(len(trail), config.most_probes, values, text))

    store_runs.compute_study(config, folder, name, judge_rows, first_guess(config))
    seconds = time.perf_counter() - started
    return SearchResult(config, tuple(trail), outcome(config, trail), None, seconds)


def _probe(config: SearchConfig, rows: Sequence[Mapping[str, Any]]) -> Probe:
    """The probe that the rows of one sparsity make, one row per seed; its runs are ids."""
    errors = [row["error"] or "The run failed." for row in rows if row["state"] != "done"]
    summaries = [
        {
            "accuracy": {"dense": row["dense_accuracy"], "pruned": row["accuracy"]},
            "validation": {
                "dense": row["dense_validation_accuracy"],
                "pruned": row["validation_accuracy"],
            },
            "zipped": row["zipped_bytes"],
            "operations": {"pruned": row["operations"]},
            "latency_ms": row["latency_ms"],
        }
        for row in rows
        if row["state"] == "done"
    ]
    return judge(
        config,
        rows[0]["sparsity"],
        summaries,
        [row["run"] for row in rows],
        "".join(errors[:1]),
    )


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[OnEvent]:
    """A listener that prints each try; on a terminal, with the current stage below."""
    if quiet:
        yield ignore
        return
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    waiting = console.status("") if console.is_terminal else contextlib.nullcontext()
    with waiting as status:

        def report(event: Event) -> None:
            if isinstance(event, Probed):
                console.print(escape(f"Try {event.number} of at most {event.most}: {event.text}"))
            elif isinstance(event, StageStarted) and status:
                status.update(escape(event.text))
            elif isinstance(event, StageStarted) and event.stage == "queue":
                console.print(escape(event.text))

        yield report


def _print(result: Mapping[str, Any]) -> None:
    """The answer, and where the network is."""
    console = Console(soft_wrap=True, highlight=False)
    first, *others = result["sentences"]
    console.print(f"\n[bold]{escape(first)}[/bold]")
    for sentence in others:
        console.print(escape(sentence))
    for run in result["runs"]:
        where = f"run {run[:8]}" if result["out"] is None else run
        console.print(escape(f"The network is in {where}."))
    if result["out"]:
        console.print(escape(f"All tries are in {result['out']}/trail.csv."))
    console.print(f"{math.ceil(result['seconds'])} s in all")
