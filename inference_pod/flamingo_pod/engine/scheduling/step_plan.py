"""The plan of one step: what the scheduler has computed, in which order.

Pure.
"""

from collections import abc
from dataclasses import dataclass
from typing import NamedTuple

from flamingo_pod.engine.scheduling.memory import KvCopy
from flamingo_pod.engine.scheduling.sequence import Prefix, Sequence


class Chunk(NamedTuple):
    """Consecutive tokens `[start, stop)` of one sequence, computed in one step."""

    sequence: Sequence
    start: int
    stop: int
    is_unread: bool = False
    """Whether it is the token that the step before samples, which the host does not know yet."""

    @property
    def is_sampled(self) -> bool:
        """Whether the next token is sampled from the logits of its last one."""
        return self.stop == self.sequence.num_tokens + self.is_unread

    @property
    def num_tokens(self) -> int:
        """Rows of the batch."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class WindowJob:
    """One window to encode for all users of the prefix; `sequence` has the samples."""

    sequence: Sequence
    prefix: Prefix
    index: int


@dataclass(frozen=True, slots=True)
class StepPlan:
    """What one step computes, in this order."""

    copies: abc.Sequence[KvCopy] = ()
    windows: abc.Sequence[WindowJob] = ()
    chunks: abc.Sequence[Chunk] = ()
    num_decoding: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self.copies or self.windows or self.chunks)

    @property
    def num_prefilled(self) -> int:
        """Prompt tokens in the batch."""
        return sum(chunk.num_tokens for chunk in self.chunks) - self.num_decoding
