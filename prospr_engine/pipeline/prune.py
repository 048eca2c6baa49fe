"""Scores, masks, and their effect on the network."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any

from torch import nn

from prospr_engine.config import CHANNELS, RunConfig
from prospr_engine.events import OnEvent, Pruned, StageStarted, ignore
from prospr_engine.identity import scores_key
from prospr_engine.models import public_name
from prospr_engine.network.device import explained_memory
from prospr_engine.network.prunable import prunable_weights
from prospr_engine.pipeline.cache import Shared
from prospr_engine.pipeline.channels import shrink
from prospr_engine.pipeline.result import Pruning, environment
from prospr_engine.pipeline.setup import Prepared, make_recipe
from prospr_engine.pipeline.train import train_first
from prospr_engine.pruning.health import Health, examine
from prospr_engine.pruning.masks import Masks, keep_all
from prospr_engine.saliency import METHODS, SEED
from prospr_engine.saliency.base import Scores
from prospr_engine.saliency.controls import find_control
from prospr_engine.saliency.controls.rearrange import rearrange
from prospr_engine.saliency.score import score


def prune(prepared: Prepared, on_event: OnEvent = ignore) -> Pruning:
    """Score the network, make the masks, and examine their effect. For a criterion that scores the
    trained network, train it first."""
    if METHODS.find(prepared.config.method).after_training:
        recipe = make_recipe(prepared.config, prepared)
        prepared, _ = train_first(prepared, recipe, on_event)
    scores = _controlled(_score(prepared, on_event), prepared.config)
    return make_masks(prepared, scores, on_event)


def find_scores(
    prepared: Prepared,
    file: Path,
    on_event: OnEvent = ignore,
    shared: Shared | None = None,
    trained: str = "",
) -> tuple[Scores, float]:
    """The scores, computed or taken from ``shared``, and the seconds taken to compute them.

    They are saved in ``file``, and the criterion's scores before any control in ``shared``. If the
    network is trained already, ``trained`` is its ``identity.dense_key``.
    """
    config = prepared.config
    control = find_control(config.control)
    unchanged = not (control and control.rearranges_scores)
    key = scores_key(
        config,
        prepared.contents,
        _options(config),
        _towards(config) | _checked(config),
        environment(prepared.device),
        trained,
    )
    scores = shared.scores(key) if shared else None
    seconds = 0.0
    if scores is None:
        started = time.perf_counter()
        scores = _score(prepared, on_event)
        seconds = time.perf_counter() - started
        scores.save(file)
        if shared:
            shared.keep_scores(key, file)
        saved = unchanged
    else:
        on_event(StageStarted("score", "Reusing the scores of another run"))
        saved = bool(unchanged and shared and shared.give_scores(key, file))
    scores = _controlled(scores, prepared.config)
    if not saved:
        scores.save(file)
    return scores, seconds


def make_masks(prepared: Prepared, scores: Scores, on_event: OnEvent = ignore) -> Pruning:
    """The masks that follow from the scores, and their health check."""
    config = prepared.config
    if config.kind == CHANNELS:
        return _remove_channels(prepared, scores, on_event)
    on_event(StageStarted("prune", "Keeping the weights with the highest scores"))
    masks = scores.masks(config.sparsity, config.layer_floor, config.layers)
    masks.metadata.update(
        model=public_name(config.model), seed=config.seed, data=prepared.data.name
    )
    with explained_memory("the health check", "choose smaller images"):
        health = examine(prepared.model, masks, prepared.batches[0][0])
    pruning = Pruning(scores, masks, health)
    _report(pruning, on_event)
    return pruning


def _report(pruning: Pruning, on_event: OnEvent) -> None:
    values = pruning.to_dict()
    names = ("sparsity", "layers", "findings", "trust", "structure")
    on_event(Pruned(**{name: values[name] for name in names if name in values}))


def _remove_channels(prepared: Prepared, scores: Scores, on_event: OnEvent) -> Pruning:
    """The smaller network, and the masks that say what was removed from the large one."""
    config, sample = prepared.config, prepared.batches[0][0]
    on_event(StageStarted("prune", "Removing the channels with the lowest scores"))
    with explained_memory("removing channels", "choose smaller images"):
        cut = shrink(
            prepared.model,
            sample[:2],
            scores,
            config.sparsity,
            budget=config.channel_budget,
            multiple=config.channel_multiple,
            layers=config.layers,
        )
        small = examine(cut.network, keep_all(cut.network), sample)
    cut.masks.metadata.update(
        model=public_name(config.model), seed=config.seed, data=prepared.data.name
    )
    pruning = Pruning(scores, cut.masks, _of_large(small, cut.masks, prepared.model), cut)
    _report(pruning, on_event)
    return pruning


def _of_large(small: Health, masks: Masks, model: nn.Module) -> Health:
    """The health of the small network, its layers counted against those of the large one."""
    weights = prunable_weights(model)
    layers = tuple(
        dataclasses.replace(
            layer, total=masks[layer.name].numel(), channels=weights[layer.name].out_channels
        )
        for layer in small.layers
    )
    return dataclasses.replace(small, layers=layers)


def _score(prepared: Prepared, on_event: OnEvent) -> Scores:
    """The criterion's scores."""
    config = prepared.config
    label = METHODS.find(config.method).label
    on_event(StageStarted("score", f"Scoring the weights with {label}"))
    remedy = "set a smaller calibration batch, or choose a smaller model or smaller images"
    with explained_memory("scoring", remedy):
        return score(
            prepared.model,
            prepared.batches,
            config.method,
            precision=config.scoring.precision,
            on_event=on_event,
            **(_towards(config) | _checked(config)),
            **_options(config),
        )


def _options(config: RunConfig) -> dict[str, Any]:
    """The method's options; its random seed defaults to that of the run."""
    options = dict(config.scoring.options)
    if seed := METHODS.find(config.method).option(SEED):
        options.setdefault(seed.name, config.seed)
    return options


def _towards(config: RunConfig) -> dict[str, Any]:
    """What an iterative criterion needs in addition: its scores are for one sparsity."""
    if not METHODS.find(config.method).iterative:
        return {}
    return {"sparsity": config.sparsity} | _limits(config)


def _checked(config: RunConfig) -> dict[str, Any]:
    """Where the ranking is to be checked, if it is: the verdict is about one mask."""
    if not config.scoring.check_ranking:
        return {}
    return {"check_at": config.sparsity} | _limits(config)


def _limits(config: RunConfig) -> dict[str, Any]:
    """What decides the masks besides scores and sparsity. Without settings of layers the keys of
    shared scores stay those of earlier versions, and criteria that know no ``layers`` work."""
    layers = {"layers": config.layers} if config.layers else {}
    return {"layer_floor": config.layer_floor, **layers}


def _controlled(scores: Scores, config: RunConfig) -> Scores:
    control = find_control(config.control)
    if not control or not control.rearranges_scores:
        return scores
    return rearrange(control, scores, config.seed)
