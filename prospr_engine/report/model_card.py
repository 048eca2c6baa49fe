"""What a person needs to know to use the files of a run: a model card, and code that runs them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence

from prospr_engine.config import RunConfig
from prospr_engine.data import DATASETS
from prospr_engine.export.encodings import ENCODINGS
from prospr_engine.export.names import PREFIX
from prospr_engine.format import (
    accuracy,
    counted,
    milliseconds,
    percent,
    points_between,
    signed_points,
    size,
)
from prospr_engine.io.tokens import display_name
from prospr_engine.models import label_of
from prospr_engine.pipeline.course import course
from prospr_engine.pipeline.divergence import diverged
from prospr_engine.pipeline.record import NETWORKS, ExportRecord, GraphRecord, RunRecord
from prospr_engine.saliency import METHODS

MODES = {1: "L", 3: "RGB"}
"""Pillow's names of images with that many channels."""
MOST_CLASSES = 20
"""With more, the card gives their number only."""
CLASSES = f"{PREFIX}classes"
ANSWERS = {
    "logits": "a logit",
    "softmax": "a probability",
    "log_softmax": "the logarithm of a probability",
    "sigmoid": "a number from 0 to 1",
}
PACKAGES = "onnxruntime numpy pillow"


def code(record: RunRecord, file: str) -> str:
    """A Python program that asks the network in the ONNX ``file`` beside it about an image. It
    needs onnxruntime, numpy and pillow; the names of the classes are those in the file."""
    channels, height, width = record.data.shape
    mode, mean, std = MODES[channels], list(record.data.mean), list(record.data.std)
    graph = record.graph or GraphRecord(own=False)
    asked = json.dumps([graph.output]) if record.graph else None  # all, of which there is one
    return f'''"""Classify an image: python classify.py IMAGE (pip install {PACKAGES})"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

MEAN = {mean}
STD = {std}

if len(sys.argv) != 2:
    sys.exit(__doc__)

session = onnxruntime.InferenceSession(Path(__file__).with_name({json.dumps(file)}))
image = ImageOps.fit(Image.open(sys.argv[1]).convert("{mode}"), {(width, height)}, Image.BILINEAR)
pixels = (np.asarray(image).reshape({height}, {width}, {channels}) / 255 - MEAN) / STD
logits = session.run({asked}, {{{json.dumps(graph.input)}: {_batch(graph)}.astype(np.float32)}})[0]
print(json.loads(session.get_modelmeta().custom_metadata_map["{CLASSES}"])[logits[0].argmax()])
'''


def _batch(graph: GraphRecord) -> str:
    """Code that makes a batch of the ``pixels`` (H, W, C) of an image, as the file takes them."""
    images = "pixels" if graph.channels_last else "pixels.transpose(2, 0, 1)"
    if graph.flat:
        images = f"{images}.reshape(-1)"
    return (
        f"{images}[None]" if graph.batch in (None, 1) else f"np.stack([{images}] * {graph.batch})"
    )


def card(record: RunRecord, exports: Sequence[tuple[str, str]], charts: Iterable[str] = ()) -> str:
    """The model card in Markdown. ``exports`` are the ONNX files by encoding and name, ``charts``
    the paths of pictures beside it."""
    parts = [
        f"# {title(record)}",
        _summary(record),
        "## Accuracy",
        _accuracies(record),
        "## Files",
        _files(record, exports),
        "## Use",
        f"`classify.py` asks the network about an image (`pip install {PACKAGES}`):\n\n"
        f"```python\n{code(record, exports[0][1]).partition(chr(10) * 2)[2]}```",
        _input(record),
        "## How it was made",
        _made(record),
    ]
    pictures = [f"![{_words(path)}]({path})" for path in charts]
    if pictures:
        parts += ["## Charts", *pictures]
    return "\n\n".join(parts) + "\n"


def title(record: RunRecord) -> str:
    """``Small CNN on Digits, 90 % of the weights removed``."""
    model, data = record.config.model, record.config.data
    return (
        f"{label_of(model)} on "
        f"{_text(DATASETS[data].label if data in DATASETS else display_name(data))}, "
        f"{_removed(record)} removed"
    )


def criterion(config: RunConfig) -> str:
    """The label of the criterion: ``SNIP`` for ``snip``."""
    method = METHODS.get(config.method)
    return method.label if method else config.method


def _removed(record: RunRecord) -> str:
    structure = record.pruning.structure
    if structure is None:
        return f"{percent(record.pruning.sparsity.achieved)} of the weights"
    channels = structure.channels
    return f"{channels.before - channels.after:,} of {channels.before:,} channels"


def _summary(record: RunRecord) -> str:
    tested = record.accuracy
    change = points_between(tested["dense"], tested["pruned"])
    kept, total = record.pruning.kept, record.pruning.total
    done = " ".join(filter(None, (course(record), diverged(record))))
    return (
        f"A pruned network: {kept:,} of {total:,} weights are left. {done} It "
        f"gets {accuracy(tested['pruned'])} of {counted(record.data.split.test, 'test image')} "
        f"right; the same network with all weights, trained alike, gets "
        f"{accuracy(tested['dense'])} ({signed_points(change)})."
    )


def _accuracies(record: RunRecord) -> str:
    rows = [
        (name.capitalize(), accuracy(record.accuracy[name]), f"{record.loss[name]:.3f}")
        for name in NETWORKS
    ]
    return _table(("Network", "Test accuracy", "Test loss (nats)"), rows)


def _files(record: RunRecord, exports: Sequence[tuple[str, str]]) -> str:
    rows = []
    for encoding, name in exports:
        export, row = record.exports[encoding], ENCODINGS.get(encoding)
        rows.append(
            (
                f"`{name}`",
                row.label if row else encoding,
                size(export.bytes),
                size(export.zipped) if export.zipped else "",
                accuracy(export.accuracy) if export.accuracy is not None else "",
                milliseconds(export.latency_ms) if export.latency_ms else "",
                _verdict(export),
            )
        )
    head = ("File", "Weights", "Size", "Zipped", "Accuracy", "Time per image", "Checks")
    # A column without any figure is left out: not every version measures everything.
    columns = [column for column in zip(head, *rows, strict=True) if any(column[1:])]
    table = _table([column[0] for column in columns], zip(*(c[1:] for c in columns), strict=True))
    others = {
        "pruned.safetensors, dense.safetensors": "both networks for PyTorch",
        "masks.safetensors": "which weights of the dense network were kept",
        "config.json": "the settings, for `run --config config.json`",
        "result.json": "all results; as tables in `figures.csv`, `layers.csv`, `training.csv` and "
        "`classes.csv`",
    }
    return "\n".join([table, "", *(f"- `{name}`: {text}" for name, text in others.items())])


def _verdict(export: ExportRecord) -> str:
    passed = sum(check.ok for check in export.checks)
    return f"{passed} of {len(export.checks)} passed"


def _input(record: RunRecord) -> str:
    channels, height, width = record.data.shape
    kind = "grey" if channels == 1 else "RGB"
    names = [_text(name) for name in record.data.classes]
    listed = f": {', '.join(names)}" if len(names) <= MOST_CLASSES else ""
    graph = record.graph or GraphRecord(own=False)
    sides = [height, width, channels] if graph.channels_last else [channels, height, width]
    axes = [channels * height * width] if graph.flat else sides
    shape = ", ".join(map(str, [graph.batch or "N", *axes]))
    called = f"The input `{graph.input}`" if record.graph else "The input"
    return (
        f"{called} is a batch of {kind} images, float32 of shape ({shape}): pixels divided by 255, "
        f"less the mean {_numbers(record.data.mean)}, divided by the deviation "
        f"{_numbers(record.data.std)}. The output is {ANSWERS[graph.answer]} for each of "
        f"{len(names)} classes{listed}."
    )


def _made(record: RunRecord) -> str:
    config, split, machine = record.config, record.data.split, record.environment
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    lines = {
        "Criterion": criterion(config),
        "Training": f"{counted(config.epochs, 'epoch')} on {split.train:,} images, seed "
        f"{config.seed}; {split.validation:,} images for validation, {split.test:,} for testing",
        "Digest of the data": f"`{record.data.digest}`",
        "Notes on the data": " ".join(map(_text, record.data.notes)),
        "Fingerprint of the settings": f"`{record.fingerprint}`",
        "Device": f"{machine.device_name} ({machine.device}, {counted(machine.threads, 'thread')})",
        "Versions": versions,
    }
    return "\n".join(f"- {name}: {text}" for name, text in lines.items() if text)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _numbers(values: Iterable[float]) -> str:
    """Four digits are enough to read; ``classify.py`` has them all."""
    return ", ".join(f"{value:.4g}" for value in values if math.isfinite(value))


def _words(path: str) -> str:
    name = path.rpartition("/")[2].partition(".")[0].replace("-", " ")
    return name[:1].upper() + name[1:]


def _text(text: str) -> str:
    """Names that a user gave, without effect as Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~])", r"\\\1", " ".join(text.split()))
