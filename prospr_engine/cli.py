"""The command line: ``python -m prospr_engine COMMAND``, with the commands of ``_parser``.

Results go to standard output (``--json``: one object), progress and errors to standard error.
Exit codes: 0 it worked; 1 it was looked at and found wrong (``verify``, ``doctor``); 2 an input
or the machine does not allow it, the sentence says what to do; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import prospr_engine
from prospr_engine import cli_runs, terminal
from prospr_engine.config import GROUPS, RunConfig, settings_of
from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError, EngineError
from prospr_engine.events import OnEvent
from prospr_engine.models import MODELS
from prospr_engine.registry import Option
from prospr_engine.saliency import METHODS

OWN_FOLDER = "(default: runs/, then a name made of the settings)"
STORE = "(default: $PROSPR_RUNS, or ~/.local/share/prospr/runs)"
PREFIXES = {"loading": "", "scoring": "score-", "training": "train-"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.command(parsed)
        sys.stdout.flush()
    except EngineError as error:
        return _fail(parsed, error, 2)
    except KeyboardInterrupt:
        return _fail(parsed, "Stopped.", 130)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            return _fail(parsed, f"Reading or writing failed: {error}.", 2)
        # The reader of our output has gone (as `| head` does); there is nobody to tell.
        sys.stderr.close()
        return 0
    return code


def _fail(parsed: argparse.Namespace, error: object, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    if parsed.json:
        with contextlib.suppress(OSError):  # Where the output cannot be written, nor can this.
            _print_json({"error": {"type": type(error).__name__, "message": str(error)}})
    return code


def run(parsed: argparse.Namespace) -> int:
    """The main job."""
    config = _config(parsed)
    with _listener(parsed) as on_event:
        if parsed.store is None:
            from prospr_engine import pipeline

            out = _folder(parsed, config)
            result = pipeline.run(config, on_event, out=out, overwrite=parsed.overwrite).to_dict()
        else:
            result = cli_runs.compute(
                config, parsed.store, parsed.name, parsed.out, parsed.overwrite, on_event
            )
    _show(parsed, result, terminal.print_result)
    return 0


def runs(parsed: argparse.Namespace) -> int:
    """What the store remembers; or one run stopped or deleted."""
    if parsed.stop is not None:
        told = cli_runs.stop(parsed.store, parsed.stop)
        _show(parsed, told, terminal.print_state)
    elif parsed.delete is not None:
        told = cli_runs.delete(parsed.store, parsed.delete)
        _show(parsed, told, terminal.print_deleted)
    else:
        _show(parsed, {"runs": cli_runs.all_runs(parsed.store)}, terminal.print_runs)
    return 0


def score(parsed: argparse.Namespace) -> int:
    """Scores and masks, without training."""
    from prospr_engine.prepare import prepare
    from prospr_engine.pruning import prune

    config = _config(parsed)
    out = _folder(parsed, config)
    if (out / "result.json").exists():
        raise ConfigError(f"{out} holds a finished run; choose another folder for the scores.")
    with _listener(parsed) as on_event:
        pruning = prune(prepare(config, on_event), on_event)
    pruning.scores.save(out / "scores.safetensors")
    pruning.masks.save(out / "masks.safetensors")
    _show(parsed, pruning.to_dict() | {"out": str(out)}, terminal.print_pruning)
    return 0


def export(parsed: argparse.Namespace) -> int:
    """The ONNX file of a network that ``run`` trained, proven anew."""
    from prospr_engine.saved import export_again

    out = Path(parsed.out or Path(parsed.run) / f"{parsed.network}.onnx")
    if out.suffix != ".onnx":
        raise ConfigError(f"The file is called {out.name}; give it a name that ends in .onnx.")
    proof = export_again(parsed.run, parsed.network, out, parsed.encoding)
    _show(parsed, proof.to_dict(), terminal.print_proof)
    return 0


def verify(parsed: argparse.Namespace) -> int:
    """Repeat the proof on a file; 1 if it is not what its label says."""
    from prospr_engine.export.verify import verify as prove

    proof = prove(parsed.file)
    _show(parsed, proof.to_dict(), terminal.print_proof)
    return 0 if proof.ok else 1


def list_table(parsed: argparse.Namespace) -> int:
    """What there is to choose from."""
    rows: list[dict[str, Any]]
    if parsed.table == "methods":
        rows = [dataclasses.asdict(spec) for spec in METHODS.values()]
        for row in rows:
            row["options"] = [
                {
                    k: v
                    for k, v in option.items()
                    if k not in {"value_type", "label", "optional", "file"}
                }
                for option in row["options"]
            ]
    elif parsed.table == "datasets":
        rows = [dataclasses.asdict(spec) for spec in DATASETS.values()]
    else:
        from prospr_engine.models import torchvision_names

        rows = [dataclasses.asdict(spec) for spec in MODELS.values()]
        rows += [{"name": f"torchvision/{name}"} for name in torchvision_names()]
    for row in rows:
        row.pop("target", None)
    _show(parsed, {parsed.table: rows}, terminal.print_tables)
    return 0


def doctor(parsed: argparse.Namespace) -> int:
    """Is this machine fit for the job? 1 if a check fails."""
    from prospr_engine.doctor import examine_machine

    report = examine_machine()
    _show(parsed, report, terminal.print_doctor)
    return 0 if report["ok"] else 1


def _show(
    parsed: argparse.Namespace, values: dict[str, Any], show: Callable[[dict[str, Any]], None]
) -> None:
    if parsed.json:
        _print_json(values)
    else:
        show(values)


def _print_json(values: dict[str, Any]) -> None:
    print(json.dumps(values, indent=2))


@contextlib.contextmanager
def _listener(parsed: argparse.Namespace) -> Iterator[OnEvent]:
    with terminal.progress(quiet=parsed.quiet) as on_event:
        yield on_event


def _config(parsed: argparse.Namespace) -> RunConfig:
    """The settings: those of ``--config`` or the defaults, and over them what was given."""
    values = RunConfig.read(parsed.config).to_dict() if parsed.config else RunConfig().to_dict()
    given = vars(parsed)
    for name in (option.name for option in settings_of(RunConfig)):
        if given.get(name) is not None:
            values[name] = given[name]
    for group, cls in GROUPS.items():
        for option in settings_of(cls):
            value = given.get(f"{group}.{option.name}")
            if value is not None:
                values[group][option.name] = value
    for pair in parsed.option:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(f"--option is {pair!r}; give a name and a value, as steps=3.")
        values["scoring"]["options"] = {**values["scoring"]["options"], name.strip(): value}
    values["sparsity"] = _number(values["sparsity"])
    return RunConfig.from_dict(values)


def _folder(parsed: argparse.Namespace, config: RunConfig) -> Path:
    return Path(parsed.out) if parsed.out else Path("runs") / config.fingerprint


def _number(value: Any) -> Any:
    """``95%`` is what people type for 0.95."""
    if isinstance(value, str) and value.strip().endswith("%"):
        with contextlib.suppress(ValueError):
            return float(value.strip()[:-1]) / 100
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m prospr_engine",
        description="Prune a network before training, train it beside the dense one, and export "
        "an ONNX file that is proven to be what its label says.",
    )
    parser.add_argument("--version", action="version", version=prospr_engine.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: Callable[..., int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help)
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.set_defaults(command=function)
        return sub

    sub = command("run", run, "do the whole job: score, prune, train, test, export, prove")
    _add_settings(sub)
    sub.add_argument("--out", help=f"folder for the results {OWN_FOLDER}")
    sub.add_argument("--overwrite", action="store_true", help="replace another run's results")
    sub.add_argument(
        "--store",
        nargs="?",
        const="",
        metavar="DIR",
        help=f"let the dashboard's worker do it, so that the browser shows it too {STORE}",
    )
    sub.add_argument("--name", default="", help="what to call the run, with --store")

    sub = command("runs", runs, "list the runs in the dashboard's store, stop or delete one")
    sub.add_argument("--store", default="", metavar="DIR", help=f"folder of the store {STORE}")
    choice = sub.add_mutually_exclusive_group()
    choice.add_argument("--stop", metavar="ID", help="stop a run; the start of its id is enough")
    choice.add_argument("--delete", metavar="ID", help="delete a run and its files")

    sub = command("score", score, "score and prune without training; shows what each layer keeps")
    _add_settings(sub)
    sub.add_argument("--out", help=f"folder for scores and masks {OWN_FOLDER}")

    sub = command("export", export, "write the ONNX file of a trained network again")
    sub.add_argument("run", help="folder that `run` wrote")
    sub.add_argument("--network", choices=("pruned", "dense"), default="pruned")
    sub.add_argument("--encoding", default="dense", help="how weights are stored (default: dense)")
    sub.add_argument("--out", help="the file (default: NETWORK.onnx in that folder)")

    sub = command("verify", verify, "prove that an exported file is what its label says")
    sub.add_argument("file", help="the ONNX file; masks.safetensors beside it is used")

    sub = command("list", list_table, "what there is to choose from")
    sub.add_argument("table", choices=("methods", "models", "datasets"))

    command("doctor", doctor, "check this machine: versions, devices, memory, arithmetic, export")
    return parser


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", metavar="FILE", help="start from the config.json of a run")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an option of the method, as steps=3; see `list methods`",
    )
    for option in settings_of(RunConfig):
        _add_flag(parser, option, "", option.name)
    for group, cls in GROUPS.items():
        section = parser.add_argument_group(group)
        for option in settings_of(cls):
            _add_flag(section, option, PREFIXES[group], f"{group}.{option.name}")


def _add_flag(parser: Any, option: Option, prefix: str, dest: str) -> None:
    """Values stay text here: ``Option.check`` converts them, with better sentences."""
    flag = "--" + prefix + option.name.replace("_", "-")
    help = option.help.replace("%", "%%")
    if option.kind is bool:
        parser.add_argument(flag, dest=dest, action=argparse.BooleanOptionalAction, help=help)
        return
    if option.default is not None:
        help += f" (default: {option.default})"
    choices = [*option.choices, *([f"FILE{option.file}"] if option.file else [])]
    metavar = "|".join(choices) or option.kind.__name__.upper()
    parser.add_argument(flag, dest=dest, metavar=metavar, help=help)
