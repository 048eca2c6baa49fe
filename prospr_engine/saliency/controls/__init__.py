"""Controls: what has to make a difference if a criterion's choice of weights matters.

Frankle et al., Pruning Neural Networks at Initialization: Why Are We Missing the Mark?, ICLR
2021, https://arxiv.org/abs/2009.08576, section 5: masks shuffled within layers, and new initial
weights, often train as well as what the criterion chose. The table ``CONTROLS`` can be looked at
without torch; a new control is one file beside it and one row.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from prospr_engine.config import NO_CONTROL
from prospr_engine.errors import ConfigError
from prospr_engine.registry import Registry, Spec


@dataclass(frozen=True)
class ControlSpec(Spec):
    """A control leaves one thing to chance: which of the two flags is set says what, and what
    ``target`` is called with.

    ``rearranges_scores``: ``target(scores, seed)`` gives other scores of the criterion's
    ``Scores``, by name, in the same shapes; the masks follow from them. ``new_weights``:
    ``target(draw, seed)`` gives the network whose training begins under the masks, where
    ``draw(seed)`` builds the run's network with fresh initial weights. The ``seed`` is the
    control's own, not the run's. Raises ``ConfigError`` unless one of the flags is set.
    """

    chance: str
    """What is left to chance, as it follows "it mattered": "which weights each layer keeps"."""
    how: str = ""
    """How the networks were treated, as it follows "SNIP and GraSP do worse"."""
    rearranges_scores: bool = False
    new_weights: bool = False

    def __post_init__(self) -> None:
        if self.rearranges_scores == self.new_weights:
            raise ConfigError(
                f"The control {self.name!r} must either rearrange scores or draw new weights; set "
                "one of rearranges_scores and new_weights."
            )


_HERE = "prospr_engine.saliency.controls"
_PLACES = "which weights each layer keeps"

CONTROLS = Registry(
    "control",
    (
        ControlSpec(
            name="shuffle",
            label="Mask shuffled",
            description="As many weights in each layer as the criterion keeps there, but at "
            "shuffled places.",
            target=f"{_HERE}.shuffle:shuffle",
            chance=_PLACES,
            how="with their mask shuffled inside each layer",
            rearranges_scores=True,
        ),
        ControlSpec(
            name="reinit",
            label="New weights",
            description="The criterion's mask, but the weights under it are drawn anew before the "
            "training.",
            target=f"{_HERE}.reinit:reinit",
            chance="which values the kept weights began with",
            how="with new initial weights under the same mask",
            new_weights=True,
        ),
        ControlSpec(
            name="random",
            label="Random, same layers",
            description="As many weights in each layer as the criterion keeps there, drawn at "
            "random: like shuffling, but another draw.",
            target=f"{_HERE}.random:random",
            chance=_PLACES,
            how="with weights drawn at random, as many in each layer",
            rearranges_scores=True,
        ),
    ),
    reserved=(NO_CONTROL,),
)


def find_control(name: str) -> ControlSpec | None:
    """The control of that name; None for the name that means none. Raises ``ConfigError``."""
    return None if name == NO_CONTROL else CONTROLS.find(name)


def is_control(name: object) -> bool:
    """Does a run's ``control`` name one? Runs of before there were any have none."""
    return name not in (None, "", NO_CONTROL)


def control_names() -> tuple[str, ...]:
    """Every value of the setting ``control``."""
    return (NO_CONTROL, *CONTROLS)


def seed_of(control: str, seed: int, *of: object) -> int:
    """The seed of a control's own draws: not the run's, from which weights and batches come, and
    another one for everything ``of`` which it is a control."""
    digest = hashlib.sha256(" ".join(map(str, (control, seed, *of))).encode()).digest()
    return int.from_bytes(digest[:4], "big")
