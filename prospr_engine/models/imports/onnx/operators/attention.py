"""Attention, one operator from version 23 on."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from prospr_engine.errors import ModelError
from prospr_engine.models.imports.onnx.graph import Node
from prospr_engine.models.imports.onnx.registry import operator
from prospr_engine.models.imports.onnx.shape_values import tensor


@operator("Attention")
def attention(
    node: Node, query: Tensor, key: Tensor, value: Tensor, mask: Any = None, *more: Any
) -> Tensor:
    special = node.get("softcap", 0.0) or node.get("qk_matmul_output_mode", 0)
    if special or any(each is not None for each in more) or len(node.outputs) > 1:
        raise ModelError(
            f"{node} remembers earlier inputs or caps its scores, which is not supported; export "
            "the network with opset 20."
        )
    packed = query.dim() == 3
    heads = node.get("q_num_heads", 0), node.get("kv_num_heads", 0)
    if packed:
        query, key, value = (
            each.unflatten(-1, (count, -1)).transpose(1, 2)
            for each, count in ((query, heads[0]), (key, heads[1]), (value, heads[1]))
        )
    made = F.scaled_dot_product_attention(
        query,
        key,
        value,
        None if mask is None else tensor(mask, query),
        is_causal=bool(node.get("is_causal", 0)),
        scale=node.get("scale"),
        enable_gqa=query.shape[1] != key.shape[1],
    )
    return made.transpose(1, 2).flatten(2) if packed else made
