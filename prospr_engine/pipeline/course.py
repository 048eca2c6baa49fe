"""What was done to the pruned network, and in which order, in words.

Plain text, without torch, for pages, the terminal and the model card.
"""

from __future__ import annotations

from prospr_engine.format import accuracy, counted
from prospr_engine.pipeline.record import RunRecord


def course(record: RunRecord) -> str:
    """A sentence or two: when the network was pruned, how long it was trained, and how accurate it
    was on the way, where it was trained before."""
    return " ".join(filter(None, (_order(record), _on_the_way(record))))


def _order(record: RunRecord) -> str:
    epochs = counted(record.config.epochs, "epoch")
    if not record.config.epochs:
        start = "The given network was pruned" if record.given else "The network was pruned"
        return f"{start}, and not trained afterwards."
    if record.trained_first:
        start = "fine-tuned" if record.given else "trained"
        return (
            f"The network was {start} for {epochs}, then pruned, then trained again for {epochs}: "
            "twice the training of the dense network, and of networks pruned before training."
        )
    if record.given:
        rate = record.training.get("lr")
        at = f" at a learning rate of {rate:.3g}" if isinstance(rate, float | int) else ""
        return (
            f"The given network was pruned, then fine-tuned for {epochs}{at}; the dense network "
            "was fine-tuned in the same way."
        )
    return f"The network was pruned before training, then trained for {epochs}."


def _on_the_way(record: RunRecord) -> str:
    found = record.accuracy_at_pruning
    if not found:
        return ""
    before, after, end = (
        accuracy(value) for value in (found["dense"], found["pruned"], record.accuracy["pruned"])
    )
    return f"Test accuracy: {before} before pruning, {after} right after, {end} at the end."
