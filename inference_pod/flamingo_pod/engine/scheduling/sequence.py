"""The engine's data types: a sequence, its shared prefix, its sampling parameters and outputs.

Pure.
"""

import math
from collections import abc
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from flamingo_common.wire.responses import FinishReason
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.engine.scheduling.beginnings import TOKEN_BYTES, encode
from flamingo_pod.engine.scheduling.extents import Extent


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
    logprob_token_ids: abc.Sequence[int] = ()
    """Tokens whose log-probabilities every output has, whichever token is sampled."""
    min_tokens: int = 0
    """No end token is sampled before; a grammar that allows nothing else takes precedence."""
    stop_token_ids: abc.Set[int] = frozenset()
    """Tokens that end the sequence, besides the model's end-of-sequence tokens."""
    ignore_eos: bool = False
    """Continue after end-of-sequence; with a grammar, which ends there, do not sample it."""
    is_stop_token_kept: bool = False
    """Whether a token of `stop_token_ids` is part of the output that it ends."""


@dataclass(frozen=True, slots=True)
class TokenOutput:
    """One generated token of a sequence, and whether it was the last.

    `token_id` is None when the sequence finished without a token of text: the model sampled
    end-of-sequence or a stop token.
    """

    token_id: int | None
    finish_reason: FinishReason | None = None
    logprob: float | None = None
    top_logprobs: abc.Sequence[tuple[int, float]] = ()
    """`(token id, logprob)`, likeliest first."""
    token_logprobs: abc.Sequence[float] = ()
    """Of the `logprob_token_ids`, also where the output has no token."""
    num_cached_tokens: int = 0
    """Prompt tokens whose KV an earlier sequence had computed."""
    stop_token_id: int | None = None
    """The one of the `stop_token_ids` that ended the sequence."""


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
    text: bytes = b""
    """The encoded tokens before its audio, as of its first user."""
    salt: bytes = b""
    """Of its users."""
    extent: Extent | None = None
    num_computed: int = 0
    """Tokens whose KV is in the pool."""
    num_windows_ready: int = 0
    """Windows, from the first on, whose embeddings the language model can prefill."""
    num_users: int = 0
    """Running sequences that read it."""
    used_s: float = 0.0

    def anew(self) -> "Prefix":
        """Return a prefix with the same tokens of which nothing is computed."""
        return Prefix(self.key, self.num_tokens, self.audio_start, self.window_tokens)

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
    prompt_ids: NDArray[np.int32]
    """`(tokens,)`."""
    params: SamplingParams
    arrived_s: float
    own_prefix: Prefix | None = None
    """The prefix as submitted; `prefix` may be an equal one that was cached before."""
    salt: bytes = b""
    """Sequences share KV only within one salt."""
    deadline_s: float = float("inf")
    eos_ids: abc.Set[int] = frozenset()
    """The model's end-of-sequence tokens."""
    has_grammar: bool = False
    num_free: float = math.inf
    """How many of its next tokens can be anything: no budget of its reasoning forces them, and they
    do not belong to a call, unless one of them begins it."""
    is_low: bool = False
    """Whether its request has low priority, and gives way to all that are live."""
    output_ids: list[int] = field(default_factory=list)
    state: SequenceState = SequenceState.WAITING
    prefix: Prefix | None = None
    """The prefix in use while it runs."""
    tail: Extent | None = None
    """KV slots of everything after the prefix, its own alone."""
    num_slots: int = 0
    """Tokens that have a slot in the pool, those of the prefix included."""
    is_fully_reserved: bool = False
    """Whether its tail does not grow: it gets all that it may need when it is admitted."""
    num_tail_computed: int = 0
    num_cached_tokens: int = 0
    """Prompt tokens whose KV was in the pool when it was first admitted."""
    num_preemptions: int = 0
    waiting_since_s: float = field(init=False)
    """When it arrived, or was last preempted."""
    is_promoted: bool = False
    """Whether it keeps its memory as a live one would, since it has low priority and starved."""
    stats: RequestStats = field(default_factory=RequestStats)
    """Its request's."""
    num_prompt: int = field(init=False)
    """Tokens of the prompt."""
    num_prefix: int = field(init=False)
    """Prompt tokens in the shared prefix."""
    sharing_key: bytes = field(init=False)
    """What precedes its tail: sequences with equal keys may share the KV that follows."""
    stop_ids: abc.Set[int] = field(init=False)
    """Tokens that end it. With a grammar, end-of-sequence always means that it is complete."""
    _masked_at_first: abc.Set[int] = field(init=False)
    """The tokens that must not come before `min_tokens`."""
    _masked_later: abc.Set[int] = field(init=False)
    _encoded_prompt: bytes = b""

    def __post_init__(self) -> None:
        self.num_prompt = len(self.prompt_ids)
        self.waiting_since_s = self.arrived_s
        self.num_prefix = self.own_prefix.num_tokens if self.own_prefix else 0
        self.sharing_key = self.own_prefix.key if self.own_prefix else self.salt
        params = self.params
        is_endless = params.ignore_eos and not self.has_grammar
        self.stop_ids = params.stop_token_ids | (frozenset() if is_endless else self.eos_ids)
        self._masked_at_first = params.stop_token_ids | self.eos_ids
        is_masked = params.ignore_eos and self.has_grammar
        self._masked_later = self.eos_ids if is_masked else frozenset()

    @property
    def seniority(self) -> tuple[bool, int]:
        """The order in which sequences keep their memory: the smallest is preempted last.

        Unique, and it only ever becomes smaller.
        """
        return self.is_low and not self.is_promoted, self.number

    @property
    def prompt_key(self) -> tuple[bytes, bytes]:
        """What precedes its tail, and its encoded prompt: equal for equal prompts."""
        return self.sharing_key, self.encoded(0, self.num_prompt)

    @property
    def num_tokens(self) -> int:
        """Tokens known so far, prompt and output."""
        return self.num_prompt + len(self.output_ids)

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
    def masked_ids(self) -> abc.Set[int]:
        """Tokens that must not come next, unless the grammar allows nothing else."""
        is_early = len(self.output_ids) < self.params.min_tokens
        return self._masked_at_first if is_early else self._masked_later

    @property
    def tail_capacity(self) -> int:
        """KV slots that its tail needs at most."""
        return self.num_prompt + self.params.max_tokens - self.num_prefix

    @property
    def num_growable(self) -> int:
        """KV slots by which its tail may still grow."""
        return self.num_prefix + self.tail_capacity - self.num_slots

    def ids(self, start: int, stop: int) -> NDArray[np.int32]:
        """Return tokens `[start, stop)` of the prompt followed by the output.

        `(tokens,)`; to be read only, since it may be a view of the prompt.
        """
        num_prompt = self.num_prompt
        if stop <= num_prompt:
            return self.prompt_ids[start:stop]
        output = self.output_ids[max(0, start - num_prompt) : stop - num_prompt]
        from_output = np.array(output, dtype=np.int32)
        if start >= num_prompt:
            return from_output
        return np.concatenate((self.prompt_ids[start:], from_output))

    def encoded(self, start: int, stop: int) -> bytes:
        """Return tokens `[start, stop)` of the prompt followed by the output, encoded."""
        if not self._encoded_prompt:
            self._encoded_prompt = encode(self.prompt_ids)
        from_prompt = self._encoded_prompt[start * TOKEN_BYTES : stop * TOKEN_BYTES]
        num_prompt = self.num_prompt
        if stop <= num_prompt:
            return from_prompt
        return from_prompt + encode(self.output_ids[max(0, start - num_prompt) : stop - num_prompt])

    def encoded_tail(self, num_tokens: int) -> bytes:
        """Return the first tokens behind the prefix, encoded."""
        return self.encoded(self.num_prefix, self.num_prefix + num_tokens)
