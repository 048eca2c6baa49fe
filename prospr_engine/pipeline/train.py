"""The dense and the pruned network, trained side by side and tested."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from torch import nn

from prospr_engine.data.images import normalise
from prospr_engine.events import EpochEnded, OnEvent, Progress, StageStarted
from prospr_engine.models import is_file
from prospr_engine.models.build import build
from prospr_engine.network.device import explained_memory
from prospr_engine.pipeline.cache import Dense
from prospr_engine.pipeline.result import Pruning
from prospr_engine.pipeline.setup import Prepared
from prospr_engine.pruning.masks import Masks
from prospr_engine.saliency.controls import find_control, seed_of
from prospr_engine.training.evaluate import Evaluation, evaluate
from prospr_engine.training.loop import Recipe, train

FIRST = "dense"
"""The stage in which the dense network is trained alone, before anything is pruned."""
REMEDY = "set a smaller training batch or choose a smaller model"


@dataclass(frozen=True)
class Trained:
    """Both networks by name, their epochs in order of completion, and their test results.
    ``at_pruning`` has the accuracies of a network that was trained before it was pruned: just
    before ("dense"), and right after it ("pruned"); empty for others."""

    networks: dict[str, nn.Module]
    history: tuple[EpochEnded, ...]
    tested: dict[str, Evaluation]
    at_pruning: dict[str, float]

    def history_of(self, network: str) -> tuple[EpochEnded, ...]:
        """The epochs of one of them."""
        return tuple(epoch for epoch in self.history if epoch.network == network)


def train_first(
    prepared: Prepared, recipe: Recipe, emit: OnEvent, known: Dense | None = None
) -> tuple[Prepared, Dense]:
    """Train and test the dense network before anything is pruned, unless it is ``known``. Returns
    what is prepared with the trained network in place of the initial one, and the dense network."""
    network = copy.deepcopy(prepared.model)
    if known:
        emit(StageStarted(FIRST, "Reusing the trained dense network of another run"))
        network.load_state_dict(known.state)
        for epoch in known.history:
            emit(epoch)
        return dataclasses.replace(prepared, model=network), known
    emit(StageStarted(FIRST, "Training the dense network, which is pruned afterwards"))
    with explained_memory("training", REMEDY):
        history = _train({"dense": network}, prepared, recipe, None, emit, None, FIRST)
    dense = Dense(network.state_dict(), tuple(history), _test(network, prepared))
    return dataclasses.replace(prepared, model=network), dense


def train_both(
    prepared: Prepared,
    recipe: Recipe,
    pruning: Pruning,
    emit: OnEvent,
    known: Dense | None = None,
    first: Dense | None = None,
) -> Trained:
    """Train ``prepared.model`` unpruned and pruned, then test both.

    They alternate epoch by epoch, on the same batches in the same order. If the dense network is
    ``known``, or was trained ``first``, only the pruned one is trained. Under a control with
    ``new_weights`` the pruned one starts from different weights.
    """
    dense, masks = copy.deepcopy(prepared.model), pruning.weight_masks
    known = first or known
    networks = {"dense": dense, "pruned": _beginning(prepared, pruning)}
    if masks:
        masks.apply_to(networks["pruned"])
    at_pruning = _at_pruning(prepared, networks, first, emit)
    both = "Training the dense and the pruned network side by side"
    one = "Training the pruned network; reusing the dense one"
    again = "Training the pruned network again, from its trained weights"
    emit(StageStarted("train", again if first else one if known else both))
    if known:
        networks["dense"].load_state_dict(known.state)
    with explained_memory("training", REMEDY):
        if first:
            own = {"pruned": networks["pruned"]}
            history = [*first.history, *_train(own, prepared, recipe, masks, emit, None)]
        else:
            history = _train(networks, prepared, recipe, masks, emit, known)
    emit(StageStarted("test", "Testing both networks on images neither has seen"))
    tested = {
        name: known.tested if known and name == "dense" else _test(network, prepared)
        for name, network in networks.items()
    }
    return Trained(networks, tuple(history), tested, at_pruning)


def _at_pruning(
    prepared: Prepared, networks: dict[str, nn.Module], first: Dense | None, emit: OnEvent
) -> dict[str, float]:
    """The accuracy of the network before and right after pruning, if it was trained before.
    ``networks`` have not been trained here yet. Nothing is chosen by these test results."""
    control = find_control(prepared.config.control)
    if not (first or prepared.given) or (control and control.new_weights):
        return {}
    emit(StageStarted("train", "Testing the network before and right after pruning"))
    before = first.tested if first else _test(networks["dense"], prepared)
    return {"dense": before.accuracy, "pruned": _test(networks["pruned"], prepared).accuracy}


def _beginning(prepared: Prepared, pruning: Pruning) -> nn.Module:
    """The pruned network before training, without the masks."""
    if pruning.cut:
        return pruning.cut.network
    control = find_control(prepared.config.control)
    if not control or not control.new_weights:
        return prepared.model
    seed = seed_of(control.name, prepared.config.seed)
    network: nn.Module = control.load()(partial(_drawn, prepared), seed)
    return network.to(prepared.device)


def _drawn(prepared: Prepared, seed: int) -> nn.Module:
    """The run's network with new weights. The skeleton of one from a file has none to draw like."""
    config, data = prepared.config, prepared.data
    if is_file(config.model):
        return build(config.model, data.shape, len(data.classes), seed)
    return prepared.source.build(seed)


def _train(
    networks: dict[str, nn.Module],
    prepared: Prepared,
    recipe: Recipe,
    masks: Masks | None,
    emit: OnEvent,
    known: Dense | None,
    stage: str = "train",
) -> list[EpochEnded]:
    data = prepared.data
    in_training = len(networks) - bool(known)
    epochs_done = 0
    history = []

    def on_batch(done: int, total: int) -> None:
        whole = in_training * recipe.epochs * total
        emit(Progress(stage, epochs_done * total + done, whole, "batches"))

    def session(name: str, network: nn.Module) -> Iterator[EpochEnded]:
        if known and name == "dense":
            return iter(known.history)
        return train(
            network,
            data.train,
            data.validation,
            lambda images: normalise(images, data.mean, data.std),
            recipe,
            prepared.device,
            masks=masks if name == "pruned" else None,
            network=name,
            on_batch=on_batch,
        )

    sessions = {name: session(name, network) for name, network in networks.items()}
    for _ in range(recipe.epochs):
        for name, epochs in sessions.items():
            epoch = next(epochs)
            epochs_done += not (known and name == "dense")
            history.append(epoch)
            emit(epoch)
    for epochs in sessions.values():
        # After its last epoch a session asserts that pruned weights are zero.
        next(epochs, None)
    return history


def _test(network: nn.Module, prepared: Prepared) -> Evaluation:
    data = prepared.data
    network.to(prepared.device)
    return evaluate(
        network,
        data.test,
        lambda images: normalise(images, data.mean, data.std),
        prepared.device,
    )
