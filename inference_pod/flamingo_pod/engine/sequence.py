"""The engine's nouns.

Pure.
"""

from collections import abc
from dataclasses import dataclass, field
from enum import Enum

from flamingo_common.wire.responses import FinishReason
from flamingo_pod.engine.extents import Extent
from flamingo_pod.engine.request_stats import RequestStats


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one sequence's tokens are chosen. Each default changes nothing."""

    max_tokens: int
    temperature: float = 0.0
    """0 is greedy."""
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = None
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: abc.Mapping[int, float] = field(default_factory=dict)
    num_logprobs: int | None = None
    """None: no log-probabilities; 0: the chosen token's; k: also the k likeliest tokens'."""


@dataclass(frozen=True, slots=True)
class TokenOutput:
    """One token of a sequence, and whether it was the last.

    `token_id` is None when the sequence ended without a token of text: the
    model said end-of-sequence.
    """

    token_id: int | None
    finish_reason: FinishReason | None = None
    logprob: float | None = None
    top_logprobs: abc.Sequence[tuple[int, float]] = ()
    """`(token id, logprob)`, likeliest first."""
    num_cached_tokens: int = 0
    """Prompt tokens that were computed before, for somebody else."""


class SequenceState(Enum):
    """Waiting for room, holding its extents, or over."""

    WAITING = "waiting"
    RUNNING = "running"
    OVER = "over"


@dataclass(eq=False, slots=True)
class Prefix:
    """A prompt's beginning up to the end of its audio, shared by all who ask about the clip.

    Its KV stays after its last user left, until somebody needs the room.
    """

    key: bytes
    num_tokens: int
    audio_start: int
    """Where the first `<sound>` slot is."""
    window_tokens: abc.Sequence[int]
    """ClipAudio tokens of each window."""
    extent: Extent | None = None
    num_computed: int = 0
    """Tokens whose KV is in the pool."""
    num_windows_ready: int = 0
    """Windows, from the first on, whose rows the language model may read."""
    num_users: int = 0
    used_s: float = 0.0

    @property
    def num_ready(self) -> int:
        """Tokens that could be computed now: up to the first window that is not encoded."""
        if self.num_windows_ready == len(self.window_tokens):
            return self.num_tokens
        return self.audio_start + sum(self.window_tokens[: self.num_windows_ready])

    @property
    def is_computed(self) -> bool:
        """Whether all of it can be read."""
        return self.num_computed == self.num_tokens


@dataclass(eq=False, slots=True)
class Sequence:
    """One prompt and its answer inside the engine."""

    number: int
    prompt_ids: abc.Sequence[int]
    params: SamplingParams
    arrived_s: float
    prefix_of: Prefix | None = None
    """The prefix as described by its submitter; the one in use may be an equal, older one."""
    salt: bytes = b""
    """Who may share its KV: sequences without audio share by this alone."""
    deadline_s: float = float("inf")
    output_ids: list[int] = field(default_factory=list)
    state: SequenceState = SequenceState.WAITING
    prefix: Prefix | None = None
    tail: Extent | None = None
    num_tail_computed: int = 0
    num_cached_tokens: int = 0
    """Prompt tokens that were in the pool already."""
    num_preempted: int = 0
    stats: RequestStats = field(default_factory=RequestStats)
    """Its request's."""

    @property
    def context(self) -> bytes:
        """What stands before its tail: sequences with the same may share what follows."""
        return self.prefix_of.key if self.prefix_of else self.salt

    @property
    def num_prefix(self) -> int:
        """Tokens of its prompt that lie in the shared prefix."""
        return self.prefix_of.num_tokens if self.prefix_of else 0

    @property
    def num_tokens(self) -> int:
        """Tokens known so far."""
        return len(self.prompt_ids) + len(self.output_ids)

    @property
    def num_computed(self) -> int:
        """Tokens whose KV is in the pool; counted through the prefix first."""
        if self.prefix is not None and not self.prefix.is_computed:
            return self.prefix.num_computed
        return self.num_prefix + self.num_tail_computed

    @property
    def num_pending(self) -> int:
        """Tokens still to be computed before the next one can be chosen; at least one."""
        return self.num_tokens - self.num_computed

    @property
    def num_tail(self) -> int:
        """Tokens its tail must have room for; the last of the answer is never computed."""
        return len(self.prompt_ids) + self.params.max_tokens - self.num_prefix

    def ids(self, start: int, stop: int) -> list[int]:
        """Return its tokens `[start, stop)`, prompt and answer as one."""
        num_prompt = len(self.prompt_ids)
        if start >= num_prompt:
            return self.output_ids[start - num_prompt : stop - num_prompt]
        beginning = list(self.prompt_ids[start:stop])
        return beginning + self.output_ids[: max(0, stop - num_prompt)]
