"""Identity of settings, runs, sweeps, and of the files that runs share.

``config.py`` imports this module, so a config is treated here as a plain frozen dataclass of
settings and groups of settings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from prospr_engine.io.tokens import is_token
from prospr_engine.registry import Option, resolve, settings_of
from prospr_engine.version import VERSION

if TYPE_CHECKING:
    from prospr_engine.config import RunConfig
    from prospr_engine.sweeps.config import SweepConfig
    from prospr_engine.sweeps.search_config import SearchConfig

Config = TypeVar("Config")

DENSE = ("model", "data", "epochs", "seed", "weights", "device", "loading", "training")
"""Settings of a run that decide its dense network."""

TABLES = {
    "model": "prospr_engine.models:MODELS",
    "data": "prospr_engine.data:DATASETS",
    "method": "prospr_engine.saliency:METHODS",
    "control": "prospr_engine.saliency.controls:CONTROLS",
    "encodings": "prospr_engine.export.encodings:ENCODINGS",
}
"""Settings of a run that name a row of a table, or several."""


# Fingerprints


def digest(value: Any, digits: int = 16) -> str:
    """A name for a JSON-ready value: the first hex digits of the SHA-256 of its JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def fingerprint(config: RunConfig) -> str:
    """Identifies the settings of a run: 16 hex digits of those that differ from their defaults, so
    that a new setting does not change the fingerprints of earlier runs (as in open_lth)."""
    return digest(_changed(config))


def study_fingerprint(config: SweepConfig | SearchConfig) -> str:
    """Identifies the settings of a sweep or search in the same way."""
    own = {name: value for name, value in _changed(config).items() if name != "run"}
    return digest([fingerprint(config.run), own])


# The same settings


def same_settings(config: Any, settings: Mapping[str, Any], but: Collection[str] = ()) -> bool:
    """Whether ``settings``, as the ``to_dict`` of this or of an earlier version gave them, are
    those of ``config``, apart from the settings ``but``."""
    fields = {f.name: f for f in dataclasses.fields(config)}
    return settings.keys() <= fields.keys() and all(
        _same(getattr(config, name), settings.get(name, _default(field)))
        for name, field in fields.items()
        if name not in but
    )


def shared_settings(config: SweepConfig | SearchConfig) -> dict[str, Any]:
    """The settings that all runs in the folder of a sweep or search have in common. The options of
    the criterion may differ between runs of one folder."""
    run: dict[str, Any] = config.to_dict()["run"]
    scoring = {name: value for name, value in run["scoring"].items() if name != "options"}
    return run | {"scoring": scoring}


def run_key(config: RunConfig, version: str = VERSION) -> str | None:
    """Equal for settings that give equal results on one machine with one ``version`` of this
    software, so that one run is enough. None if that cannot be known, because the settings name
    paths or registered rows, which may change."""
    changeable = paths(config) or registered(config)
    return None if changeable else f"{fingerprint(config)} {version}"


def registered(config: RunConfig, among: Collection[str] = tuple(TABLES)) -> dict[str, str]:
    """The settings that name a row registered by the user, with its ``Registry.edition``."""
    found = {}
    for name in among:
        table, value = resolve(TABLES[name]), getattr(config, name)
        rows = value if isinstance(value, tuple) else (value,)
        if edition := " ".join(filter(None, map(table.edition, rows))):
            found[name] = edition
    return found


# What runs share


def dense_settings(config: RunConfig) -> dict[str, Any]:
    """The settings that decide the dense network."""
    return {name: getattr(config, name) for name in DENSE}


def dense_group(config: RunConfig) -> Hashable:
    """Equal for runs that share their dense network."""
    return tuple(dense_settings(config).values())


def scores_group(config: RunConfig, iterative: bool, after_training: bool = False) -> Hashable:
    """Equal for runs that share their scores. Those of an ``iterative`` criterion are made for one
    sparsity, those of one that scores ``after_training`` depend on all that the dense network
    depends on."""
    scoring = config.scoring
    return (
        *(config.model, config.data, config.weights, config.seed, config.device, config.loading),
        *(config.method, scoring.batch_size, scoring.batches, scoring.precision),
        tuple(sorted(scoring.options.items())),
        scoring.check_ranking,
        _target(config) if iterative or scoring.check_ranking else None,
        dense_group(config) if after_training else None,
    )


def _target(config: RunConfig) -> Hashable:
    """What decides the masks besides the scores."""
    return config.sparsity, config.layer_floor, tuple(config.layers.items())


def dense_key(
    config: RunConfig,
    contents: Mapping[str, str],
    recipe: Mapping[str, Any],
    environment: Mapping[str, Any],
) -> str:
    """Identifies everything that the trained dense network depends on (32 hex digits).
    ``contents`` has the content behind each setting that may name a file; raises ``KeyError`` if
    one is missing."""
    parts = {**_beginning(config, contents), "recipe": recipe, "environment": environment}
    return digest(parts, 32)


def scores_key(
    config: RunConfig,
    contents: Mapping[str, str],
    options: Mapping[str, Any],
    towards: Mapping[str, Any],
    environment: Mapping[str, Any],
    trained: str = "",
) -> str:
    """Identifies everything that the scores depend on (32 hex digits): ``options`` of the criterion
    including defaults, for an iterative one the target that it prunes ``towards``, and for one that
    scores the trained network its ``dense_key`` (``trained``). ``contents`` as in ``dense_key``."""
    parts: dict[str, Any] = {
        **_beginning(config, contents, "method"),
        "method": config.method,
        "scoring": dataclasses.asdict(config.scoring) | {"options": options},
        "towards": towards,
        "environment": environment,
        **({"trained": trained} if trained else {}),
    }
    return digest(parts, 32)


# Files


def file_options(kind: type) -> dict[str, Option]:
    """The settings of a config class that may name a file or folder, by name; ``group.name`` in a
    group."""
    own = {option.name: option for option in settings_of(kind) if option.files}
    for name, group in _groups(kind):
        own |= {f"{name}.{inner}": option for inner, option in file_options(group).items()}
    return own


def file_settings(settings: Any, kind: type | None = None) -> dict[str, str]:
    """What ``settings`` name in files and folders, paths or tokens, by the name of the setting.
    They are a config, or of a config class ``kind`` what its ``to_dict`` gave (of any version)."""
    return {
        name: value
        for name, option in file_options(kind or type(settings)).items()
        if option.names_file(value := _value(settings, name))
    }


def file_values(config: Any) -> dict[str, Any]:
    """The values of all settings of ``config`` that may name a file, whether or not they do."""
    return {name: _value(config, name) for name in file_options(type(config))}


def tokens(settings: Any, kind: type | None = None) -> dict[str, str]:
    """Those of ``file_settings`` that name uploads, whose content never changes."""
    return {k: v for k, v in file_settings(settings, kind).items() if is_token(v)}


def paths(settings: Any, kind: type | None = None) -> dict[str, str]:
    """Those of ``file_settings`` that name files and folders of this machine."""
    return {k: v for k, v in file_settings(settings, kind).items() if not is_token(v)}


def replace_files(config: Config, change: Callable[[str], str]) -> Config:
    """``config`` with every path and token in it changed."""
    own: dict[str, Any] = {name: replace_files(getattr(config, name), change)
                           for name, _ in _groups(type(config))}  # fmt: skip
    own |= {k: change(v) for k, v in file_settings(config).items() if "." not in k}
    return dataclasses.replace(config, **own)  # type: ignore[type-var]


def _beginning(config: RunConfig, contents: Mapping[str, str], *also: str) -> dict[str, Any]:
    """The initial network and the images; and the editions of the network and of what the settings
    ``also`` name, where they are registered rows."""
    files = {name: contents[name] for name in file_options(type(config))}
    own = registered(config, ("model", *also))
    return {"model": config.model, "seed": config.seed, **files} | ({"own": own} if own else {})


def _changed(config: Any) -> dict[str, Any]:
    """The settings that differ from their defaults, by group."""
    changed = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            if inner := _changed(value):
                changed[field.name] = inner
        elif value != _default(field):
            changed[field.name] = dict(value) if isinstance(value, Mapping) else value
    return changed


def _default(field: Any) -> Any:
    made = field.default is dataclasses.MISSING
    return field.default_factory() if made else field.default


def _same(value: Any, other: Any) -> bool:
    if dataclasses.is_dataclass(value):
        return value == other or (isinstance(other, Mapping) and same_settings(value, other))
    if isinstance(value, tuple):
        return isinstance(other, tuple | list) and value == tuple(other)
    return bool(value == other)


def _groups(kind: type) -> Iterator[tuple[str, type]]:
    for field in dataclasses.fields(kind):
        if isinstance(field.default_factory, type) and dataclasses.is_dataclass(
            field.default_factory
        ):
            yield field.name, field.default_factory


def _value(settings: Any, name: str) -> Any:
    for part in name.split("."):
        mapping = isinstance(settings, Mapping)
        settings = settings.get(part) if mapping else getattr(settings, part, None)
    return settings
