"""The KV pool: keys and values of all layers, in one tensor."""

from collections import abc
from typing import Any

import torch

from flamingo_pod.engine.scheduling.memory import KvCopy


def head_width(config: Any) -> int:
    """Return the width of one head of a language model."""
    head_dim = getattr(config, "head_dim", None)
    return int(head_dim or config.hidden_size // config.num_attention_heads)


class KvPool:
    """Keys and values, `(token slots, kv heads, head width)` for each layer.

    In memory a slot's heads lie side by side on a GPU, whose kernels read all heads of a slot; on
    a CPU each head's slots do, which its attention reads fastest. Slots that were never written
    are never read, and on a CPU take no memory. One slot more than sequences may have is for the
    padded rows of a recorded step.
    """

    def __init__(self, config: Any, num_tokens: int, like: torch.Tensor) -> None:
        num_layers, num_heads = config.num_hidden_layers, config.num_key_value_heads
        width = head_width(config)
        self.trash_slot = num_tokens
        num_slots = num_tokens + 1
        if like.is_cuda:
            self._data = like.new_empty((2, num_layers, num_slots, num_heads, width))
        else:
            by_head = like.new_empty((2, num_layers, num_heads, num_slots, width))
            self._data = by_head.transpose(2, 3)
        self.keys, self.values = (tuple(half.unbind()) for half in self._data)
        self.scale = width**-0.5

    def copy(self, copies: abc.Iterable[KvCopy]) -> None:
        """Copy KV within the pool, in order."""
        for each in copies:
            source = self._data[:, :, each.source : each.source + each.num_tokens]
            self._data[:, :, each.target : each.target + each.num_tokens] = source.clone()
