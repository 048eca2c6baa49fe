"""What commands share: the settings of a run as flags, and how a result is shown."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from prospr_engine.config import GROUPS, RunConfig
from prospr_engine.errors import ConfigError
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.format import brief, read_percent, to_fraction
from prospr_engine.registry import Option, settings_of
from prospr_engine.saliency.controls import control_names

STORE_HELP = "(default: $PROSPR_RUNS, or ~/.local/share/prospr/runs)"
OWN_FOLDER = "(default: runs/, then the fingerprint of the settings)"
LISTED = {"control": control_names, "encoding": lambda: tuple(ENCODINGS)}
"""Tables short enough to list in the help of a flag."""
PREFIXES = {"loading": "", "scoring": "score-", "training": "train-"}


def add_settings(
    parser: argparse.ArgumentParser, source: str = "config.json of a run", but: Collection[str] = ()
) -> None:
    """A flag for every setting of a run except ``but``; ``--config`` reads them from ``source``."""
    parser.add_argument("--config", metavar="FILE", help=f"start from the {source}")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the method, e.g. steps=3; see `list methods`",
    )
    parser.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="NAME=SETTING",
        help="a layer that keeps all of its weights (dense), or has a sparsity of its own, by name "
        "or pattern, e.g. conv1=dense or 'layer4.*=0.98'; may be repeated, and the other layers "
        "keep what is left of the sparsity",
    )
    for option in settings_of(RunConfig):
        if option.name not in but:
            _add_flag(parser, option, "", option.name)
    for group, cls in GROUPS.items():
        section = parser.add_argument_group(group)
        for option in settings_of(cls):
            _add_flag(section, option, PREFIXES[group], f"{group}.{option.name}")


def add_store(parser: argparse.ArgumentParser, noun: str) -> None:
    """The flags of a command that the dashboard's worker can run; ``noun`` is what it makes."""
    parser.add_argument(
        "--store",
        nargs="?",
        const="",
        metavar="DIR",
        help=f"let the dashboard's worker compute it, so that the browser shows it {STORE_HELP}",
    )
    parser.add_argument("--name", default="", help=f"name of the {noun} in the store")


def folder_of(parsed: argparse.Namespace, config: RunConfig) -> Path:
    """Where the files of a run go: ``--out``, or a folder named by the settings."""
    return Path(parsed.out) if parsed.out else Path("runs") / config.fingerprint


def config_of(parsed: argparse.Namespace) -> RunConfig:
    """The settings of ``--config`` or the defaults, overridden by the flags given."""
    config = RunConfig.read(parsed.config) if parsed.config else RunConfig()
    return RunConfig.from_dict(given(parsed, config.to_dict()))


def given(parsed: argparse.Namespace, values: dict[str, Any]) -> dict[str, Any]:
    """``values``, as ``RunConfig.to_dict`` gives them, overridden by the flags given."""
    flags = vars(parsed)
    for option in settings_of(RunConfig):
        if flags.get(option.name) is not None:
            values[option.name] = number(flags[option.name], option)
    for group, cls in GROUPS.items():
        for option in settings_of(cls):
            value = flags.get(f"{group}.{option.name}")
            if value is not None:
                values[group][option.name] = number(value, option)
    for pair in parsed.option:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--option is {brief(pair)}; give a name and a value, e.g. steps=3.")
        values["scoring"]["options"] = {**values["scoring"]["options"], name.strip(): value}
    for pair in parsed.layer:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                f"--layer is {brief(pair)}; give a layer and its setting, e.g. conv1=dense or "
                "'layer4.*=0.98'."
            )
        values["layers"] = {**values["layers"], name.strip(): number(value.strip())}
    return values


def number(value: Any, option: Option | None = None) -> Any:
    """``value`` itself, or 0.95 for the text ``95%``, unless ``option`` is no such number."""
    takes = option is None or option.kind is float
    percent = read_percent(value) if takes and isinstance(value, str) else None
    return value if percent is None else to_fraction(percent)


def show(
    parsed: argparse.Namespace, values: dict[str, Any], render: Callable[[dict[str, Any]], None]
) -> None:
    """Print the result of a command: as JSON with ``--json``, else with ``render``."""
    if parsed.json:
        print_json(values)
    else:
        render(values)


def print_json(values: dict[str, Any]) -> None:
    """One object on standard output."""
    print(json.dumps(values, indent=2))


def _add_flag(parser: Any, option: Option, prefix: str, dest: str) -> None:
    """Values stay text here: ``Option.check`` converts them, with better error messages."""
    flag = "--" + prefix + option.name.replace("_", "-")
    help = option.help.replace("%", "%%")
    if option.kind is bool:
        parser.add_argument(flag, dest=dest, action=argparse.BooleanOptionalAction, help=help)
        return
    if option.default is not None:
        several = isinstance(option.default, tuple)
        help += f" (default: {','.join(option.default) if several else option.default})"
    choices = [*(LISTED[option.table]() if option.table in LISTED else option.choices)]
    if choices and option.files:
        choices.append("FILE")
    metavar = ("," if option.kind is tuple else "|").join(choices) or option.kind.__name__.upper()
    parser.add_argument(flag, dest=dest, metavar=metavar, help=help)
