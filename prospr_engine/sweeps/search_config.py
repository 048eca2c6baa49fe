"""The goal of a search, and whether the runs at one sparsity meet it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.errors import ConfigError
from prospr_engine.identity import digest, study_fingerprint
from prospr_engine.io.files import read_settings
from prospr_engine.registry import setting, settings_of
from prospr_engine.sweeps.goals import GOALS, Goal
from prospr_engine.sweeps.settings import entries, from_mapping, run_of

(SEED,) = (option for option in settings_of(RunConfig) if option.name == "seed")
SEARCHED = ("sparsity", "seed")
"""Settings of a run that the search chooses."""
LEGACY = ("most_lost", "most_bytes", "seeds", "lowest", "highest", "most_probes")
"""Settings of a search in 0.3.0."""
EQUAL = 1e-9  # so that 0.95 − 0.94 does not exceed 0.01 by rounding


@dataclass(frozen=True)
class SearchConfig:
    """A goal for a pruned network, and the range to search: at most ``most_lost`` accuracy lost on
    the validation images (a fraction, 0.01 is one point; mean over ``seeds``, against the dense
    network of the same seed), or for the network of each seed at most ``most_bytes`` for the zipped
    ONNX file, ``most_operations`` multiply-adds for one image, or ``most_ms`` milliseconds for one
    image in ONNX Runtime on this machine (of ``model.onnx``). Exactly one is given. The unzipped
    file of a network of which single weights are removed stores zeros too: it has one size at every
    sparsity; and so have the last two goals, which need ``kind="channels"``.

    ``run`` has all other settings; its own sparsity and seed are ignored.
    Raises ``ConfigError`` if a value is out of range or the settings contradict each other.
    """

    run: RunConfig = field(default_factory=RunConfig)
    most_lost: float | None = setting(
        None,
        "accuracy that may be lost on the validation images, as a fraction (0.01 is one point)",
        optional=True,
        value_type=float,
        minimum=0.0,
        maximum=1.0,
    )
    most_bytes: int | None = setting(
        None,
        "maximum size of the zipped ONNX file in bytes",
        optional=True,
        value_type=int,
        minimum=1,
    )
    most_operations: int | None = setting(
        None,
        "maximum number of multiply-adds for one image",
        optional=True,
        value_type=int,
        minimum=1,
    )
    most_ms: float | None = setting(
        None,
        "maximum time for one image in ONNX Runtime on this machine, in milliseconds",
        optional=True,
        value_type=float,
        minimum=0.001,
        maximum=1e6,
    )
    seeds: tuple[int, ...] = (0,)
    lowest: float = setting(0.0, "lowest sparsity to try", minimum=0.0, maximum=0.9999)
    highest: float = setting(0.999, "highest sparsity to try", minimum=0.0, maximum=0.9999)
    most_probes: int = setting(8, "maximum number of sparsities to try", minimum=1, maximum=50)

    def __post_init__(self) -> None:
        if not isinstance(self.run, RunConfig):
            raise ConfigError("run is not a RunConfig.")
        plain = {name: getattr(RunConfig(), name) for name in SEARCHED}
        run = dataclasses.replace(self.run, **plain)
        object.__setattr__(self, "run", run)
        for option in settings_of(SearchConfig):
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))
        object.__setattr__(self, "seeds", entries("seeds", "seed", self.seeds, SEED.check))
        self._check_goal()
        if self.lowest >= self.highest:
            raise ConfigError(
                f"The lowest sparsity is {self.lowest:g} and the highest {self.highest:g}, so "
                "there is nothing between them; set the lowest below the highest."
            )

    @classmethod
    def of(cls, **settings: Any) -> SearchConfig:
        """The config with these settings, and these of ``RunConfig`` for all runs: the keywords
        of ``pe.search``."""
        own = [f.name for f in dataclasses.fields(cls)]
        given = {name: settings[name] for name in own if name in settings}
        return cls(**given | {"run": run_of("search", settings, own, SEARCHED)})

    def _check_goal(self) -> None:
        given = [goal for goal in GOALS if getattr(self, goal.setting) is not None]
        if len(given) != 1:
            raise ConfigError(
                "A search has one goal: give either the accuracy that may be lost (most_lost), the "
                "maximum size of the zipped file (most_bytes), of multiply-adds "
                "(most_operations), or the maximum time for one image (most_ms)."
            )
        if given[0].needs_channels and self.run.kind != CHANNELS:
            raise ConfigError(
                "Single weights that are removed become zeros, which are computed like any other "
                "number: that saves no multiply-adds and no time. To meet this goal, remove "
                f"channels (kind={CHANNELS!r})."
            )

    @property
    def goal(self) -> Goal:
        """What the search is for."""
        return next(goal for goal in GOALS if getattr(self, goal.setting) is not None)

    @property
    def about_accuracy(self) -> bool:
        """Whether the goal is an accuracy; otherwise sparser networks meet it more easily."""
        return self.goal.of_accuracy

    @property
    def limit(self) -> float:
        """The goal in the unit of ``Probe.value``."""
        limit: float = getattr(self, self.goal.setting)
        return limit

    @property
    def size(self) -> int:
        """The maximum number of runs."""
        return len(self.seeds) * self.most_probes

    def cells(self, sparsity: float) -> tuple[RunConfig, ...]:
        """The runs that try one sparsity, one per seed."""
        return tuple(
            dataclasses.replace(self.run, sparsity=sparsity, seed=seed) for seed in self.seeds
        )

    def to_dict(self) -> dict[str, Any]:
        """Every setting, as JSON-ready values."""
        return {
            **dataclasses.asdict(self),
            "run": self.run.to_dict(),
            "seeds": list(self.seeds),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SearchConfig:
        """The config from ``to_dict``; ``ConfigError`` if a setting is unknown or invalid."""
        own = [f.name for f in dataclasses.fields(cls)]
        return cls(**from_mapping("search", values, own))

    @classmethod
    def read(cls, path: str | Path) -> SearchConfig:
        """Read a ``search.json``; raises ``ConfigError`` if it is missing or invalid."""
        return cls.from_dict(read_settings(path, "the search.json of a search"))

    @property
    def fingerprint(self) -> str:
        """Identifies the settings: 16 hex digits; see ``identity.study_fingerprint``."""
        return study_fingerprint(self)

    @property
    def legacy_fingerprint(self) -> str:
        """The fingerprint that versions up to 0.3.0 gave these settings, in which defaults count.
        Only used to find the folder of a search that such a version started."""
        fields = dataclasses.fields(self)
        values = {f.name: getattr(self, f.name) for f in fields if f.name in LEGACY}
        return digest(values | {"run": self.run.fingerprint})


@dataclass(frozen=True)
class Probe:
    """One sparsity that was tried, and whether it met the goal. ``value`` is compared with the
    goal: the accuracy lost on the validation images (a fraction, negative if accuracy was gained;
    mean over the seeds) or the largest figure of the goal (bytes, multiply-adds, milliseconds)
    among the seeds; None if a run failed, and ``error`` says why. ``tested`` is the accuracy lost
    on the test images, which the search does not use; None where ``value`` is not of the validation
    images: another figure, or, if the runs have no such figure, itself the accuracy lost on the
    test images; ``tested_noise`` is half of the 95 % interval of what the test images show: over
    the seeds, or for a single one of the choice of test images. ``guessing`` says that the pruned
    networks of all seeds only guess. ``runs`` are folders or ids."""

    sparsity: float
    met: bool
    value: float | None
    runs: tuple[str, ...] = ()
    error: str = ""
    tested: float | None = None
    tested_noise: float | None = None
    guessing: bool = False


def judge(
    config: SearchConfig,
    sparsity: float,
    summaries: Sequence[Mapping[str, Any] | None],
    runs: Sequence[str] = (),
    error: str = "",
) -> Probe:
    """The probe from the runs at ``sparsity``, one per seed; ``summaries`` are from
    ``metrics.summary``, None for a run that failed.

    If a run failed or its figure is missing or not finite, the goal counts as missed.
    """
    if error or not summaries or None in summaries:
        error = error or "The run failed."
        return Probe(sparsity, False, None, tuple(runs), error)
    from prospr_engine.metrics import figures as figures_of
    from prospr_engine.sweeps.tested import guesses, loss_noise  # brings SciPy

    known = [summary for summary in summaries if summary is not None]
    tested = None
    if config.about_accuracy:
        figures = [_lost(summary, "accuracy") for summary in known]
        validated = [_lost(summary, "validation") for summary in known]
        if all(map(math.isfinite, [*figures, *validated])):
            tested, figures = sum(figures) / len(figures), validated
    else:
        figures = [_number(figures_of(summary)[config.goal.figure]) for summary in known]
    value = sum(figures) / len(figures) if config.about_accuracy else max(figures)
    if not all(map(math.isfinite, figures)):
        return Probe(sparsity, False, None, tuple(runs), "The result does not have this figure.")
    met = value <= config.limit + EQUAL
    if not config.about_accuracy:
        return Probe(sparsity, met, value, tuple(runs))
    rows = [figures_of(summary) for summary in known]
    return Probe(
        sparsity,
        met,
        value,
        tuple(runs),
        tested=tested,
        tested_noise=loss_noise(rows),
        guessing=all(
            row["test_images"] and guesses(row, summary.get("classes"))
            for row, summary in zip(rows, known, strict=True)
        ),
    )


def _lost(summary: Mapping[str, Any], part: str) -> float:
    """The accuracy lost on the images of ``part``; NaN if unknown."""
    found = summary.get(part) or {}
    dense, pruned = found.get("dense"), found.get("pruned")
    return math.nan if dense is None or pruned is None else float(dense - pruned)


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
