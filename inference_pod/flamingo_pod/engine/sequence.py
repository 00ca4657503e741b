"""The engine's data types: a sequence, its shared prefix, its sampling parameters and outputs.

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
    """How the tokens of one sequence are sampled. Each default is the neutral value."""

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
    """None: no log-probabilities; 0: the sampled token's; k: also the k likeliest tokens'."""


@dataclass(frozen=True, slots=True)
class TokenOutput:
    """One generated token of a sequence, and whether it was the last.

    `token_id` is None when the sequence finished without a token of text: the model sampled
    end-of-sequence.
    """

    token_id: int | None
    finish_reason: FinishReason | None = None
    logprob: float | None = None
    top_logprobs: abc.Sequence[tuple[int, float]] = ()
    """`(token id, logprob)`, likeliest first."""
    num_cached_tokens: int = 0
    """Prompt tokens whose KV an earlier sequence had computed."""


class SequenceState(Enum):
    """Waiting for memory, running with its extents allocated, or finished."""

    WAITING = "waiting"
    RUNNING = "running"
    FINISHED = "finished"


@dataclass(eq=False, slots=True)
class Prefix:
    """A prompt up to the end of its audio, shared by all sequences about the same clip.

    Its KV stays cached after its last user has finished, until the memory is needed.
    """

    key: bytes
    num_tokens: int
    audio_start: int
    """Index of the first `<sound>` slot in the prompt."""
    window_tokens: abc.Sequence[int]
    """Audio tokens of each window."""
    extent: Extent | None = None
    num_computed: int = 0
    """Tokens whose KV is in the pool."""
    num_windows_ready: int = 0
    """Windows, from the first on, whose embeddings the language model can prefill."""
    num_users: int = 0
    """Running sequences that read it."""
    used_s: float = 0.0

    @property
    def num_ready(self) -> int:
        """Tokens that can be computed now: up to the first window that is not encoded."""
        if self.num_windows_ready == len(self.window_tokens):
            return self.num_tokens
        return self.audio_start + sum(self.window_tokens[: self.num_windows_ready])

    @property
    def is_computed(self) -> bool:
        """Whether the KV of all its tokens is in the pool."""
        return self.num_computed == self.num_tokens


@dataclass(eq=False, slots=True)
class Sequence:
    """One prompt and its output tokens inside the engine."""

    number: int
    """Unique, ascending in the order of submission."""
    prompt_ids: abc.Sequence[int]
    params: SamplingParams
    arrived_s: float
    own_prefix: Prefix | None = None
    """The prefix as submitted; `prefix` may be an equal one that was cached before."""
    salt: bytes = b""
    """Sequences share KV only within one salt."""
    deadline_s: float = float("inf")
    output_ids: list[int] = field(default_factory=list)
    state: SequenceState = SequenceState.WAITING
    prefix: Prefix | None = None
    """The prefix in use while it runs."""
    tail: Extent | None = None
    """KV slots of everything after the prefix, its own alone."""
    num_tail_computed: int = 0
    num_cached_tokens: int = 0
    """Prompt tokens whose KV was in the pool when it was admitted."""
    num_preemptions: int = 0
    stats: RequestStats = field(default_factory=RequestStats)
    """Its request's."""

    @property
    def sharing_key(self) -> bytes:
        """What precedes its tail: sequences with equal keys may share the KV that follows."""
        return self.own_prefix.key if self.own_prefix else self.salt

    @property
    def num_prefix(self) -> int:
        """Prompt tokens in the shared prefix."""
        return self.own_prefix.num_tokens if self.own_prefix else 0

    @property
    def num_tokens(self) -> int:
        """Tokens known so far, prompt and output."""
        return len(self.prompt_ids) + len(self.output_ids)

    @property
    def num_computed(self) -> int:
        """Tokens whose KV is in the pool; the prefix is computed before the tail."""
        if self.prefix is not None and not self.prefix.is_computed:
            return self.prefix.num_computed
        return self.num_prefix + self.num_tail_computed

    @property
    def num_pending(self) -> int:
        """Tokens to compute before the next one can be sampled; at least one."""
        return self.num_tokens - self.num_computed

    @property
    def tail_capacity(self) -> int:
        """KV slots that its tail needs at most."""
        return len(self.prompt_ids) + self.params.max_tokens - self.num_prefix

    def ids(self, start: int, stop: int) -> list[int]:
        """Return tokens `[start, stop)` of the prompt followed by the output."""
        num_prompt = len(self.prompt_ids)
        if start >= num_prompt:
            return self.output_ids[start - num_prompt : stop - num_prompt]
        from_prompt = list(self.prompt_ids[start:stop])
        return from_prompt + self.output_ids[: max(0, stop - num_prompt)]
