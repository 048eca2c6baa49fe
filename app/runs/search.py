"""Search and sort runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from app.services import METHODS, Run, RunConfig
from app.ui import figures
from app.ui.code import EVERYDAY
from app.ui.format import SPACE, exact_percent
from app.ui.labels import label
from app.ui.states import WORDS
from app.ui.titles import data_label, model_label, title

NUMBER = re.compile(r"\d[\d.]*")
DEFAULTS = RunConfig().to_dict()


def search(runs: Sequence[Run], query: str) -> list[Run]:
    """The runs with every word of ``query`` in their name, state, model, data, criterion, or
    a setting that is not at its default. A number must match exactly: 1 does not match 10."""
    wanted = query.lower().split()
    return [run for run in runs if _has(_words(run), wanted)] if wanted else list(runs)


def has_all(text: str, query: str) -> bool:
    """Whether ``text`` contains every word of ``query``, as in ``search``."""
    return _has(text.lower(), query.lower().split())


def _has(text: str, wanted: Sequence[str]) -> bool:
    whole = set(text.split())
    return all(word in whole if NUMBER.fullmatch(word) else word in text for word in wanted)


def _words(run: Run) -> str:
    """All searchable text of a run; its settings may be those of another version."""
    settings = run.settings
    method = str(settings.get("method"))
    words = [
        run.name,
        title(run),
        WORDS[run.state],
        model_label(str(settings.get("model"))),
        data_label(str(settings.get("data"))),
        METHODS[method].label if method in METHODS else "",
        "" if run.owner else "command line",
        *_changed(settings, DEFAULTS),
    ]
    sparsity = figures.sparsity(run)
    if sparsity is not None:
        words.append(f"{exact_percent(sparsity)} removed".replace(SPACE, " "))
    return " ".join(words).lower()


def _changed(
    settings: Mapping[str, Any], defaults: Mapping[str, Any], group: str = ""
) -> Iterator[str]:
    for name, value in settings.items():
        usual = defaults.get(name)
        if isinstance(value, Mapping):
            yield from _changed(value, usual if isinstance(usual, Mapping) else {}, name)
        elif (not group and name in EVERYDAY) or value != usual:
            yield f"{name} {label(name, group)} {value}"


def _descending(figure: Callable[[Run], float | None]) -> Callable[[Run], Any]:
    """A sort key: by that figure, highest first, then runs without it."""

    def key(run: Run) -> tuple[bool, float]:
        value = figure(run)
        return (value is None, -(value or 0.0))

    return key


NEWEST = "Newest"
ORDERS: dict[str, Callable[[Run], Any]] = {
    "Highest accuracy": _descending(figures.pruned),
    "Least accuracy lost": _descending(figures.change),
    "Highest sparsity": _descending(figures.sparsity),
    "Name": lambda run: title(run).casefold(),
}


def order(runs: Sequence[Run], by: str) -> list[Run]:
    """``runs`` (newest first) in one of ``ORDERS``, else unchanged."""
    return sorted(runs, key=ORDERS[by]) if by in ORDERS else list(runs)
