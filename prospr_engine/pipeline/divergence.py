"""Whether training diverged without ending in numbers that are not finite, and what to do then.

Plain text, without torch, for results, pages, the terminal and the model card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from prospr_engine.events import EpochEnded
from prospr_engine.format import listed, scientific
from prospr_engine.pipeline.record import NETWORKS, RunRecord

HIGH, EXPLODED = 3.0, 100.0
"""Losses in those of guessing, ln C (nats). More than the first does not come from a network that
learns or overfits if it lasts, in training and in testing, or if the network ends up guessing; more
than the second in testing is an explosion anyway."""
ERRORS = 2.0
"""Standard errors above the share of the commonest class up to which accuracy is guessing."""


def divergence(
    loss: Mapping[str, float],
    accuracy: Mapping[str, float],
    history: Sequence[EpochEnded],
    images: Sequence[int],
    lr: float | None,
) -> str:
    """A sentence or two if the training of a network diverged, or "". ``loss`` and ``accuracy`` are
    those of the test ``images``, which are counted by class, and ``history`` the epochs, each by
    network; ``lr`` is the learning rate at the beginning."""
    found = {
        name: max(loss[name], *(epoch.train_loss for epoch in history if epoch.network == name))
        for name in NETWORKS
        if _diverged(name, loss[name], accuracy[name], history, images)
    }
    if not found:
        return ""
    which = "both networks" if len(found) == len(NETWORKS) else f"the {next(iter(found))} network"
    losses = listed(scientific(value) for value in found.values())
    rate = "" if lr is None else f"; it started at {lr:g}"
    return (
        f"The training of {which} diverged: the loss rose to {losses}, and that of guessing is "
        f"{math.log(len(images)):.2f}. Set a lower learning rate (--train-lr; in the form under "
        f"Advanced, Training){rate}."
    )


def diverged(record: RunRecord) -> str:
    """The same of a finished run."""
    lr = record.training.get("lr")
    return divergence(
        record.loss,
        record.accuracy,
        record.history,
        (record.per_class or {}).get("images", ()) or [1] * len(record.data.classes),
        lr if isinstance(lr, float | int) else None,
    )


def _diverged(
    name: str, loss: float, accuracy: float, history: Sequence[EpochEnded], images: Sequence[int]
) -> bool:
    own = [epoch.train_loss for epoch in history if epoch.network == name]
    if not own or len(images) < 2:
        return False
    guess = math.log(len(images))
    if loss > EXPLODED * guess or min(loss, own[-1]) > HIGH * guess:
        return True
    share = max(images) / max(1, sum(images))
    error = math.sqrt(share * (1 - share) / max(1, sum(images)))
    return max(own) > HIGH * guess and accuracy <= share + ERRORS * error
