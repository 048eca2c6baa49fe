"""The command line: ``python -m prospr_engine COMMAND``, with the commands of ``_parser``.

Results go to standard output (``--json``: one object), progress and errors to standard error.
Exit codes: 0 it worked; 1 it was looked at and found wrong (``verify``, ``doctor``), or a run of
several failed (``sweep``); 2 an input or the machine does not allow it, the sentence says what to
do; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import prospr_engine
from prospr_engine.cli import render, search, sweep
from prospr_engine.cli import runs as store_runs
from prospr_engine.cli.settings import STORE_HELP, add_settings, config_of, print_json, show
from prospr_engine.config import RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.errors import ConfigError, EngineError, Stopped
from prospr_engine.events import OnEvent
from prospr_engine.models import MODELS
from prospr_engine.saliency import METHODS

OWN_FOLDER = "(default: runs/, then a name made of the settings)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.command(parsed)
        sys.stdout.flush()
    except EngineError as error:
        return _fail(parsed, error, 2)
    except KeyboardInterrupt:
        return _fail(parsed, Stopped("Stopped."), 130)
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
            print_json({"error": {"type": type(error).__name__, "message": str(error)}})
    return code


def run(parsed: argparse.Namespace) -> int:
    """The main job."""
    config = config_of(parsed)
    with _listener(parsed) as on_event:
        if parsed.store is None:
            from prospr_engine.pipeline.run import run as run_here

            out = _folder(parsed, config)
            result = run_here(config, on_event, out=out, overwrite=parsed.overwrite).to_dict()
        else:
            result = store_runs.compute(
                config, parsed.store, parsed.name, parsed.out, parsed.overwrite, on_event
            )
    show(parsed, result, render.print_result)
    return 0


def runs(parsed: argparse.Namespace) -> int:
    """What the store remembers; or one run stopped or deleted."""
    if parsed.stop is not None:
        told = store_runs.stop(parsed.store, parsed.stop)
        show(parsed, told, render.print_state)
    elif parsed.delete is not None:
        told = store_runs.delete(parsed.store, parsed.delete)
        show(parsed, told, render.print_deleted)
    else:
        show(parsed, {"runs": store_runs.all_runs(parsed.store)}, render.print_runs)
    return 0


def score(parsed: argparse.Namespace) -> int:
    """Scores and masks, without training."""
    from prospr_engine.pipeline.prune import prune
    from prospr_engine.pipeline.setup import prepare

    config = config_of(parsed)
    out = _folder(parsed, config)
    if (out / "result.json").exists():
        raise ConfigError(f"{out} holds a finished run; choose another folder for the scores.")
    with _listener(parsed) as on_event:
        pruning = prune(prepare(config, on_event), on_event)
    pruning.scores.save(out / "scores.safetensors")
    pruning.masks.save(out / "masks.safetensors")
    show(parsed, pruning.to_dict() | {"out": str(out)}, render.print_pruning)
    return 0


def export(parsed: argparse.Namespace) -> int:
    """The ONNX file of a network that ``run`` trained, proven anew."""
    from prospr_engine.pipeline.checkpoint import export_again

    out = Path(parsed.out or Path(parsed.run) / f"{parsed.network}.onnx")
    if out.suffix != ".onnx":
        raise ConfigError(f"The file is called {out.name}; give it a name that ends in .onnx.")
    proof = export_again(parsed.run, parsed.network, out, parsed.encoding)
    show(parsed, proof.to_dict(), render.print_proof)
    return 0


def verify(parsed: argparse.Namespace) -> int:
    """Repeat the proof on a file; 1 if it is not what its label says."""
    from prospr_engine.export.verify import verify as prove

    proof = prove(parsed.file)
    show(parsed, proof.to_dict(), render.print_proof)
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
    show(parsed, {parsed.table: rows}, render.print_tables)
    return 0


def doctor(parsed: argparse.Namespace) -> int:
    """Is this machine fit for the job? 1 if a check fails."""
    from prospr_engine.cli.doctor import examine_machine

    report = examine_machine()
    show(parsed, report, render.print_doctor)
    return 0 if report["ok"] else 1


@contextlib.contextmanager
def _listener(parsed: argparse.Namespace) -> Iterator[OnEvent]:
    with render.progress(quiet=parsed.quiet) as on_event:
        yield on_event


def _folder(parsed: argparse.Namespace, config: RunConfig) -> Path:
    return Path(parsed.out) if parsed.out else Path("runs") / config.fingerprint


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
    add_settings(sub)
    sub.add_argument("--out", help=f"folder for the results {OWN_FOLDER}")
    sub.add_argument("--overwrite", action="store_true", help="replace another run's results")
    sub.add_argument(
        "--store",
        nargs="?",
        const="",
        metavar="DIR",
        help=f"let the dashboard's worker do it, so that the browser shows it too {STORE_HELP}",
    )
    sub.add_argument("--name", default="", help="what to call the run, with --store")

    sub = command("runs", runs, "list the runs in the dashboard's store, stop or delete one")
    sub.add_argument("--store", default="", metavar="DIR", help=f"folder of the store {STORE_HELP}")
    choice = sub.add_mutually_exclusive_group()
    choice.add_argument("--stop", metavar="ID", help="stop a run; the start of its id is enough")
    choice.add_argument("--delete", metavar="ID", help="delete a run and its files")

    sub = command("score", score, "score and prune without training; shows what each layer keeps")
    add_settings(sub)
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

    sweep.add(command)
    search.add(command)
    command("doctor", doctor, "check this machine: versions, devices, memory, arithmetic, export")
    return parser
