"""Texts of the New run and Sweep pages."""

from __future__ import annotations

from app.services import METHODS, RunConfig

HOW = (
    "How small can a network get before it breaks? Choose one, remove most of its weights before "
    "training, and see how much it still learns."
)
STEPS = "## What happens when you press the button"
FIRST = (
    "**Train.** The network is trained in full: this criterion ranks trained weights.",
    "**Fine-tune.** The given network is trained further on your images, in full: this criterion "
    "ranks trained weights.",
)
"""Before pruning, for criteria that rank trained weights: new weights, and given ones."""
SCORE = (
    "**Score.** A criterion scores how much each weight matters. ProsPr looks a few training steps "
    "ahead: how much does the weight matter for what the network will have learned by then?"
)
PRUNE = (
    "**Prune.** The weights with the lowest scores are set to zero, or the channels with the "
    "lowest scores are taken out"
)
BEFORE = (
    ", before any training.",
    ". The given weights are the starting point: the network was trained already.",
)
"""The end of that sentence, for new weights and for given ones."""
AFTER = (
    "**Train.** The pruned and the dense network train side by side, on the same images in the "
    "same order.",
    "**Fine-tune.** The pruned and the dense network are trained further side by side, on the same "
    "images in the same order.",
)
"""After pruning, for new weights and for given ones."""
AGAIN = (
    "**Train again.** The pruned network is trained again for as many epochs, twice the training "
    "of the dense one."
)
NEVER = "**No training.** Neither network is trained: the number of epochs is zero."
TEST = (
    "**Test and check.** Both classify images they have never seen. The pruned network becomes an "
    "ONNX file, which is checked before you get it."
)

SHARE = "Copy this page's address to share these settings."
SHARE_OWN = "Your own files are not included."


def steps(config: RunConfig) -> str:
    """What a run with these settings does, in order."""
    row = METHODS.get(config.method)
    trained = bool(row and row.after_training and config.epochs)
    in_order = (
        *([FIRST[config.given]] if trained else []),
        SCORE,
        f"{PRUNE}." if trained else PRUNE + BEFORE[config.given],
        AGAIN if trained else AFTER[config.given] if config.epochs else NEVER,
        TEST,
    )
    lines = [f"{number}. {text}" for number, text in enumerate(in_order, 1)]
    return "\n".join([STEPS, "", *lines, ""])
