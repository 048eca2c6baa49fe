"""What a network must answer with: one row of logits for each input."""

from __future__ import annotations

import torch
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.format import counted


def check_answer(answer: object) -> Tensor:
    """``answer``, if it is one tensor of real numbers; else raises ``ModelError``."""
    if not isinstance(answer, Tensor):
        raise ModelError(
            f"The model answers with a {type(answer).__name__}, not with one tensor of logits, "
            "(batch, classes); wrap it in a module that returns the logits alone."
        )
    if not answer.is_floating_point():
        raise ModelError(
            f"The model answers with numbers of the type {answer.dtype}, and logits are real "
            "numbers; return them as they are before they are rounded, compared, or made complex."
        )
    if answer.layout != torch.strided:
        raise ModelError(
            f"The model answers with a sparse tensor ({answer.layout}); return answer.to_dense()."
        )
    return answer


def check_logits(answer: object, x: Tensor) -> Tensor:
    """``answer``, if it has a row of logits for each input of ``x``; else raises ``ModelError``."""
    answer = check_answer(answer)
    if answer.dim() == 2 and len(answer) == len(x) and answer.shape[1]:
        return answer
    raise ModelError(
        f"The model answers {counted(len(x), 'input')} with logits of shape "
        f"{tuple(answer.shape)}; there must be one row of logits for each, (batch, classes): "
        f"{_how_to_shape(answer, len(x))}."
    )


def _how_to_shape(answer: Tensor, inputs: int) -> str:
    """What to do about logits of a wrong shape."""
    shape = tuple(answer.shape)
    if answer.dim() > 2 and shape[0] == inputs:
        ones = all(size == 1 for size in shape[2:])
        return "add .flatten(1) to them" if ones else "take their mean over all but two axes"
    if shape == (inputs,):
        return "keep their second axis, with a logit for each class (two, if there are two)"
    if answer.dim() == 2 and shape[1] == inputs:
        return "transpose them"
    if shape and shape[0] > inputs and not shape[0] % inputs:
        return "flatten with x.flatten(1), which keeps the batch axis"
    return "return logits of shape (batch, classes)"
