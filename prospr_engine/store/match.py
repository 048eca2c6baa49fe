"""Match files to runs by their content, to rebuild a lost database.

A ``result.json`` does not list the files that were written with it. Networks have labels, and the
ONNX file has digests of its masks; scores are those that give the masks; a gallery has the answers
that the result lists. If several files fit, none is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from prospr_engine.config import RunConfig
from prospr_engine.errors import EngineError
from prospr_engine.export.provenance import bits_digest
from prospr_engine.io.tensors import read_tensors
from prospr_engine.pipeline.gallery import Gallery
from prospr_engine.pipeline.record import RESULT
from prospr_engine.pruning.masks import Masks
from prospr_engine.saliency.base import Scores
from prospr_engine.store.contents import CONFIG, GALLERY, MASKS, MODEL, SCORES, Content, Facts

DENSE, PRUNED = "dense.safetensors", "pruned.safetensors"


Index = Mapping[tuple[str, Hashable], Sequence[Content]]
"""Files by name and by a key that a result also determines."""


@dataclass(frozen=True)
class Match:
    """The files of a run by name, and the names of those not found: they are missing, or several
    fit."""

    files: Mapping[str, Content]
    missing: tuple[str, ...]


def index(contents: Iterable[Content]) -> Index:
    """The files, indexed for ``match``."""
    found: dict[tuple[str, Hashable], list[Content]] = {}
    for content in contents:
        found.setdefault((content.name, _key(content)), []).append(content)
    return found


def match(result: Content, index: Index) -> Match:
    """The files in ``index`` that belong to the run of ``result``."""
    facts = result.facts
    found: dict[str, Content | None] = {RESULT: result}

    def pick(name: str, key: Hashable, fits: Callable[[Content], bool]) -> Content | None:
        fitting = [content for content in index.get((name, key), ()) if fits(content)]
        found[name] = fitting[0] if len(fitting) == 1 else None
        return found[name]

    def pruned(content: Content) -> bool:
        same = ("accuracy", "sparsity", "environment")
        return _same_images(facts, content.facts) and all(
            content.facts.get(key) == facts[key] for key in same
        )

    def dense(content: Content) -> bool:
        label = content.facts
        return (
            label.get("accuracy") == {"dense": facts["accuracy"]["dense"]}
            and label.get("environment") == facts["environment"]
            and _same_images(facts, label)
        )

    config = facts["config"]
    pick(CONFIG, _text(config), lambda content: True)
    pick(DENSE, _dense_fingerprint(config), dense)
    pick(PRUNED, facts["fingerprint"], pruned)
    model = pick(MODEL, facts["fingerprint"], pruned)
    masks = pick(
        MASKS,
        (config["method"], config["sparsity"], config["seed"]),
        lambda content: _are_masks(facts, content, model),
    )
    pick(
        SCORES,
        _text(facts["trust"]),
        lambda content: masks is not None and _are_scores(content, masks),
    )
    right = {name: round(share * _tested(facts)) for name, share in facts["accuracy"].items()}
    pick(
        GALLERY,
        (_tested(facts), right["dense"], right["pruned"]),
        lambda content: _is_gallery(facts, content),
    )
    return Match(
        {name: content for name, content in found.items() if content},
        tuple(name for name, content in found.items() if not content),
    )


def _key(content: Content) -> Hashable:
    facts = content.facts
    if content.name == CONFIG:
        return _text(facts)
    if content.name == MASKS:
        return facts.get("method"), facts.get("sparsity"), facts.get("seed")
    if content.name == SCORES:
        return _text(facts["diagnostics"])
    if content.name == GALLERY:
        counts = facts["counts"]
        right = (counts["right"] + counts["lost"], counts["right"] + counts["gained"])
        return sum(counts.values()), *right
    return facts.get("fingerprint")


def _text(values: object) -> str:
    return json.dumps(values, sort_keys=True)


def _tested(result: Facts) -> int:
    return len(result["predictions"]["dense"])


def _dense_fingerprint(config: Facts) -> str:
    try:
        return RunConfig.from_dict(config).dense.fingerprint
    except EngineError:  # another version wrote it
        return ""


def _same_images(result: Facts, label: Facts) -> bool:
    data = label.get("data")
    return isinstance(data, dict) and data.get("digest") == result["data"]["digest"]


def _are_masks(result: Facts, content: Content, model: Content | None) -> bool:
    kept, digests = _masks(content.path)
    if kept != {layer["name"]: (layer["kept"], layer["total"]) for layer in result["layers"]}:
        return False
    return model is None or all(
        digests.get(name) == digest for name, digest in model.facts["masks"].items()
    )


def _are_scores(content: Content, masks: Content) -> bool:
    if any(content.facts.get(key) != masks.facts.get(key) for key in ("method", "options")):
        return False
    try:
        wanted = Masks.load(masks.path)
        made = _scores(content.path).masks(
            masks.facts["sparsity"], masks.facts.get("layer_floor", 0), masks.facts.get("layers")
        )
    except (EngineError, KeyError):
        return False
    return made.keys() == wanted.keys() and all(
        torch.equal(made[name], wanted[name]) for name in wanted
    )


def _is_gallery(result: Facts, content: Content) -> bool:
    predictions = {name: np.array(given) for name, given in result["predictions"].items()}
    try:
        gallery = _gallery(content.path)
    except EngineError:
        return False
    if gallery.numbers.max() >= _tested(result):
        return False
    return all(
        np.array_equal(predictions[network][gallery.numbers], answers)
        for network, answers in gallery.answers.items()
    )


# Several runs read the same files.
@lru_cache(maxsize=1000)
def _masks(path: Path) -> tuple[dict[str, tuple[int, int]], dict[str, str]]:
    """The weights that each mask keeps and has in total, and its digest."""
    masks, _ = read_tensors(path, framework="np")
    kept = {name: (int(mask.sum()), int(mask.size)) for name, mask in masks.items()}
    return kept, {name: bits_digest(mask) for name, mask in masks.items()}


@lru_cache(maxsize=4)
def _scores(path: Path) -> Scores:
    return Scores.load(path)


@lru_cache(maxsize=100)
def _gallery(path: Path) -> Gallery:
    return Gallery.load(path)
