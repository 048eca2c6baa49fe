"""How weights are ranked: the one table ``METHODS``. A new criterion is one file and one row."""

from __future__ import annotations

from dataclasses import dataclass

from prospr_engine.registry import Option, Registry, Spec


@dataclass(frozen=True)
class MethodSpec(Spec):
    """A criterion: its options, what it needs, and where it was published."""

    paper: str
    options: tuple[Option, ...] = ()
    needs_data: bool = True
    needs_shape: bool = False
    """Without data it still has to know the shape of an input: any batch tells it."""
    iterative: bool = False
    """Prunes step by step towards one sparsity, for which alone its scores hold."""
    second_order: bool = False
    """Needs second derivatives of the network."""
    looks_ahead: bool = False
    """Has an option ``steps``: how many steps of training (M) it looks ahead."""


_HERE = "prospr_engine.saliency"

METHODS = Registry(
    "method",
    (
        MethodSpec(
            name="prospr",
            label="ProsPr",
            description="How much the loss after a few steps of training depends on each weight: "
            "the exact meta-gradient through those steps.",
            target=f"{_HERE}.prospr:prospr",
            second_order=True,
            looks_ahead=True,
            paper="Alizadeh et al., Prospect Pruning, ICLR 2022, https://arxiv.org/abs/2202.08132",
            options=(
                Option("steps", 3, "training steps looked ahead (M)", minimum=0, maximum=1000),
                Option("lr", 0.1, "learning rate of those steps (α)", minimum=0.0, maximum=100.0),
                Option("momentum", 0.0, "momentum of those steps (μ)", minimum=0.0, maximum=0.9999),
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
                Option(
                    "rehearse",
                    True,
                    "repeat the steps ahead from weights that differ by rounding, to know whether "
                    "the ranking can be trusted",
                ),
            ),
        ),
        MethodSpec(
            name="magnitude",
            label="Magnitude",
            description="The size of each weight as it was initialised.",
            target=f"{_HERE}.magnitude:magnitude",
            paper="Han et al., Learning both Weights and Connections, NeurIPS 2015, "
            "https://arxiv.org/abs/1506.02626",
            needs_data=False,
        ),
        MethodSpec(
            name="random",
            label="Random",
            description="Chance, the same for every weight: what any criterion has to beat.",
            target=f"{_HERE}.random:random",
            paper="Frankle et al., Pruning Neural Networks at Initialization, ICLR 2021, "
            "https://arxiv.org/abs/2009.08576",
            options=(Option("seed", 0, "seed of the draw", minimum=0, maximum=2**32 - 1),),
            needs_data=False,
        ),
    ),
)
