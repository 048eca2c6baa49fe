"""The size of a training step and the learning rate that the settings leave open. Without torch."""

from __future__ import annotations

from prospr_engine.config import RunConfig
from prospr_engine.models import MODELS

FINE_TUNING = 0.1
"""Given weights are trained further at this share of the model's own learning rate: at the whole
rate, the first steps would undo what they have learned."""


def batch_size(config: RunConfig, count: int) -> int:
    """Images in one training step, of ``count`` for training."""
    # 128, as in most published recipes; fewer on small data, for some forty steps per epoch.
    small = max(16, min(128, 1 << max(0, (count // 32).bit_length() - 1)))
    return config.training.batch_size or small


def learning_rate(config: RunConfig, count: int) -> float:
    """The learning rate at the beginning of training on ``count`` images."""
    if config.training.lr is not None:
        return config.training.lr
    # The models' rates are for batches of 128; the noise of smaller batches requires smaller steps
    # (Krizhevsky 2014, https://arxiv.org/abs/1404.5997).
    rate: float = MODELS.find(config.model).lr * (batch_size(config, count) / 128) ** 0.5
    return rate * FINE_TUNING if config.given else rate
