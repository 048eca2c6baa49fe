"""How weights are ranked: the one table ``METHODS``. A new criterion is one file and one row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from prospr_engine.config import CHANNELS
from prospr_engine.errors import ConfigError
from prospr_engine.registry import Option, Registry, Spec, check_options

Role = Literal["steps", "rounds", "seed"]
"""What an option of a criterion decides, whatever it is called: the training steps looked ahead
(M), the rounds of scoring and removing, the seed of the criterion's own draws (in a run that of the
run, unless given)."""

ChannelRule = Literal["effect", "norm", "chance"]
"""How a criterion's scores rank whole channels: by the sum of the signed effects of all that
produces a channel, by the mean size of its weights, or by chance."""

STEPS: Role = "steps"
ROUNDS: Role = "rounds"
SEED: Role = "seed"


@dataclass(frozen=True)
class MethodSpec(Spec):
    """A criterion: its options, what it needs, and where it was published.

    ``target`` is called as ``saliency.base.Criterion`` describes.
    """

    paper: str = ""
    options: tuple[Option, ...] = ()
    needs_data: bool = True
    needs_shape: bool = False
    """Without data it still needs the shape of an input, taken from any batch."""
    iterative: bool = False
    """Prunes step by step towards one sparsity, for which alone its scores hold."""
    second_order: bool = False
    """Needs second derivatives of the network."""
    looks_ahead: bool = False
    """Looks some steps of training ahead: as many as its option of the role "steps" says."""
    first_order: tuple[str, Any] | None = None
    """The option, and the value of it, that does without second derivatives."""
    by_chance: bool = False
    """Draws the weights itself, so that controls are only other draws of the same kind."""
    after_training: bool = False
    """Scores the trained dense network: a run trains that first, and the pruned network starts from
    its weights and is trained again. Its two trainings are twice as long as those of the others."""
    channels: ChannelRule | None = None
    """How it ranks whole channels; None if it cannot."""
    retired: tuple[str, ...] = ()
    """Options that earlier versions had: still accepted, and ignored."""

    def __post_init__(self) -> None:
        if self.looks_ahead and self.option(STEPS) is None:
            raise ConfigError(
                f"The method {self.name!r} looks ahead; give it an option of the role {STEPS!r}."
            )

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, those ``given`` checked and the rest at their defaults; raises
        ``ConfigError`` for one that there is not."""
        known = {name: value for name, value in given.items() if name not in self.retired}
        return check_options(self.options, known, f"the method {self.name!r}")

    def check_kind(self, kind: str) -> None:
        """Raises ``ConfigError`` if channels are to be removed, and the criterion ranks none."""
        if kind == CHANNELS and self.channels is None:
            able = ", ".join(f"{spec.label!r}" for spec in METHODS.values() if spec.channels)
            raise ConfigError(
                f"{self.label} ranks single weights only; to remove channels, choose one of {able}."
            )

    def option(self, role: Role) -> Option | None:
        """The option that decides this, if there is one."""
        return next((option for option in self.options if option.role == role), None)

    def value(self, role: Role, given: Mapping[str, Any]) -> Any:
        """What the options that were ``given``, or the default, say of it; None without one."""
        option = self.option(role)
        return given.get(option.name, option.default) if option else None


_HERE = "prospr_engine.saliency"
_PROSPR = "Alizadeh et al., Prospect Pruning, ICLR 2022, https://arxiv.org/abs/2202.08132"
_FORCE = "de Jorge et al., Progressive Skeletonization, ICLR 2021, https://arxiv.org/abs/2006.09081"

_RETIRED = ("rehearse",)
"""It repeated the look-ahead; ``ScoringConfig.check_ranking`` repeats the scoring."""
_SEED = Option("seed", 0, "seed of the draw", minimum=0, maximum=2**32 - 1, role=SEED)


def _steps_ahead(lr: float, momentum: float) -> tuple[Option, ...]:
    return (
        Option("steps", 3, "training steps looked ahead (M)", minimum=0, maximum=1000, role=STEPS),
        Option("lr", lr, "learning rate of those steps (α)", minimum=0.0, maximum=100.0),
        Option("momentum", momentum, "momentum of those steps (μ)", minimum=0.0, maximum=0.9999),
    )


def _rounds(number: int) -> Option:
    return Option(
        "rounds",
        number,
        "rounds of scoring and removing (T), each removing the same share of what is left",
        minimum=1,
        maximum=1000,
        role=ROUNDS,
    )


_SMALL_ROUNDS = 20
"""Of iterative SNIP and FORCE: the authors' code makes 10, their paper up to 60. With 20, a
round removes a fifth of what is left on the way to 99 % and less than a third on the way to
99.9 %, for about as many gradients as ProsPr takes with three steps."""

METHODS = Registry(
    "method",
    (
        MethodSpec(
            name="prospr",
            label="ProsPr",
            description="How much the loss after a few steps of training depends on each weight: "
            "the exact meta-gradient through those steps.",
            target=f"{_HERE}.prospr:prospr",
            channels="effect",
            second_order=True,
            first_order=("order", "first"),
            looks_ahead=True,
            paper=_PROSPR,
            options=(
                *_steps_ahead(lr=0.1, momentum=0.0),
                Option(
                    "order",
                    "exact",
                    "the whole meta-gradient, or without second derivatives (faster, cruder)",
                    choices=("exact", "first"),
                ),
                Option(
                    "momentum_graph",
                    "exact",
                    "reference: drop the first step's second derivative when μ > 0, as the "
                    "authors' published code does",
                    choices=("exact", "reference"),
                ),
            ),
            retired=_RETIRED,
        ),
        MethodSpec(
            name="prospr_first_order",
            label="ProsPr, first order",
            description="The same question as ProsPr, answered without second derivatives: "
            "faster, but cruder.",
            target=f"{_HERE}.prospr_first_order:prospr_first_order",
            channels="effect",
            looks_ahead=True,
            paper=_PROSPR,
            options=_steps_ahead(lr=0.1, momentum=0.0),
            retired=_RETIRED,
        ),
        MethodSpec(
            name="prospr_published",
            label="ProsPr, as published",
            description="ProsPr as its authors' code computes it, with momentum and with the "
            "flaw that leaves out part of the first step.",
            target=f"{_HERE}.prospr_published:prospr_published",
            channels="effect",
            second_order=True,
            looks_ahead=True,
            paper=_PROSPR,
            options=_steps_ahead(lr=0.5, momentum=0.9),
            retired=_RETIRED,
        ),
        MethodSpec(
            name="snip",
            label="SNIP",
            description="How much the loss would change at once if a weight were taken away, "
            "judged by the slope of the loss on one batch.",
            target=f"{_HERE}.snip:snip",
            channels="effect",
            paper="Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, "
            "ICLR 2019, https://arxiv.org/abs/1810.02340",
        ),
        MethodSpec(
            name="iterative_snip",
            label="Iterative SNIP",
            description="SNIP in many small rounds: after each, the weights that are left are "
            "judged again.",
            target=f"{_HERE}.iterative_snip:iterative_snip",
            iterative=True,
            paper=_FORCE,
            options=(_rounds(_SMALL_ROUNDS),),
        ),
        MethodSpec(
            name="force",
            label="FORCE",
            description="SNIP in many small rounds, in which a weight that was removed too early "
            "may come back.",
            target=f"{_HERE}.force:force",
            iterative=True,
            paper=_FORCE,
            options=(_rounds(_SMALL_ROUNDS),),
        ),
        MethodSpec(
            name="grasp",
            label="GraSP",
            description="Keeps the weights without which the network would learn more slowly, "
            "judged by how the slope of the loss itself changes.",
            target=f"{_HERE}.grasp:grasp",
            second_order=True,
            paper="Wang et al., Picking Winning Tickets Before Training by Preserving Gradient "
            "Flow, ICLR 2020, https://arxiv.org/abs/2002.07376",
            options=(
                Option(
                    "temperature",
                    200.0,
                    "what the logits are divided by, so that no class is certain yet",
                    minimum=1e-6,
                    maximum=1e9,
                ),
            ),
        ),
        MethodSpec(
            name="synflow",
            label="SynFlow",
            description="How much can flow from the input to the output through each weight, "
            "without looking at any image; in many rounds, so that no layer runs dry.",
            target=f"{_HERE}.synflow:synflow",
            needs_data=False,
            needs_shape=True,
            iterative=True,
            paper="Tanaka et al., Pruning neural networks without any data by iteratively "
            "conserving synaptic flow, NeurIPS 2020, https://arxiv.org/abs/2006.05467",
            options=(_rounds(100),),
        ),
        MethodSpec(
            name="magnitude",
            label="Magnitude",
            description="The size of each weight as it was initialised.",
            target=f"{_HERE}.magnitude:magnitude",
            channels="norm",
            paper="Han et al., Learning both Weights and Connections, NeurIPS 2015, "
            "https://arxiv.org/abs/1506.02626",
            needs_data=False,
        ),
        MethodSpec(
            name="magnitude_trained",
            label="Magnitude after training",
            description="The size of each weight once the network is trained; what is left is then "
            "trained again. The usual way to prune, and twice the training of the others.",
            target=f"{_HERE}.magnitude:magnitude",
            channels="norm",
            after_training=True,
            paper="Han et al., Learning both Weights and Connections, NeurIPS 2015; trained "
            "again as in Renda et al., Comparing Rewinding and Fine-tuning in Neural Network "
            "Pruning, ICLR 2020, https://arxiv.org/abs/2003.02389",
            needs_data=False,
        ),
        MethodSpec(
            name="random",
            label="Random",
            description="Chance, the same for every weight: what any criterion has to beat.",
            target=f"{_HERE}.random:random",
            channels="chance",
            paper="Frankle et al., Pruning Neural Networks at Initialization, ICLR 2021, "
            "https://arxiv.org/abs/2009.08576",
            options=(_SEED,),
            needs_data=False,
            by_chance=True,
        ),
        MethodSpec(
            name="random_erk",
            label="Random, ERK",
            description="Chance within each layer, but small layers keep a larger share of their "
            "weights: the hardest chance to beat.",
            target=f"{_HERE}.random_erk:random_erk",
            paper="Evci et al., Rigging the Lottery: Making All Tickets Winners, ICML 2020, "
            "https://arxiv.org/abs/1911.11134",
            options=(_SEED,),
            needs_data=False,
            by_chance=True,
        ),
    ),
)
