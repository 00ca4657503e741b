"""What one request has used of the engine so far, and how much work it has left.

Pure. The engine's thread writes and the event loop reads; each field is a single number, so
neither needs a lock.
"""

from dataclasses import dataclass

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_common.wire.priority import Priority


@dataclass(eq=False, slots=True)
class RequestStats:
    """The stats of one request, shared by its choices; times are monotonic, and None until set."""

    route: str = ""
    clip_name: str = ""
    """The router's name for its clip; empty without one."""
    priority: Priority = Priority.NORMAL
    wants_metrics: bool = False
    """Whether its response reports how long it took."""
    num_choices: int = 1
    num_windows_left: int = 0
    """Windows still to encode, not counting those whose states a cache has."""
    num_prompt_tokens_left: int = 0
    """Prompt tokens still to prefill, not counting those whose KV is cached."""
    num_later_prompt_tokens_left: int = 0
    """The same of further prompts about its clip, behind what they share with the first."""
    num_output_tokens_left: int = 0
    """Tokens that may still be generated, by all choices."""
    num_windows_encoded: int = 0
    """Windows that were encoded for this request."""
    num_prefix_tokens_computed: int = 0
    """Tokens up to the end of its clip that were prefilled for this request."""
    num_output_tokens: int = 0
    compute_s: float = 0.0
    """Its share of the time of the engine's steps."""
    encode_s: float = 0.0
    """The part of `compute_s` that its audio windows took."""
    audio_s: float = 0.0
    """Duration of its clip."""
    audio_missing_s: float = 0.0
    """Seconds that its clip has lost."""
    audio_decode_started_s: float | None = None
    audio_decode_s: float = 0.0
    """Time to decode its clip, in a decode worker."""
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    """Prompt tokens whose KV was cached."""
    finish_reasons: tuple[str, ...] = ()
    """One for each choice, once all have finished."""
    submitted_s: float | None = None
    started_s: float | None = None
    """When the first step computed something for it."""
    encoded_s: float | None = None
    """When the last of its windows was encoded."""
    first_token_s: float | None = None
    last_token_s: float | None = None

    def record_encoded_windows(self, num_windows: int) -> None:
        """Count windows that were encoded."""
        self.num_windows_encoded += num_windows
        self.num_windows_left = max(0, self.num_windows_left - num_windows)

    def record_token(self, now_s: float, *, is_text: bool) -> None:
        """Count a generated token; end-of-sequence is one without text."""
        self.first_token_s = self.first_token_s or now_s
        self.last_token_s = now_s
        self.num_output_tokens += is_text
        self.reduce_expected_output(1)

    def reduce_expected_output(self, num_tokens: int) -> None:
        """Take off tokens that will not be generated any more."""
        self.num_output_tokens_left = max(0, self.num_output_tokens_left - num_tokens)

    @property
    def num_windows_computed(self) -> int:
        """Windows that were computed: encoded, or only prefilled where their states were cached."""
        num_prefilled = -(-self.num_prefix_tokens_computed // TOKENS_PER_WINDOW)
        return max(self.num_windows_encoded, num_prefilled)

    @property
    def queue_s(self) -> float | None:
        """From submission to the first step."""
        return _between(self.submitted_s, self.started_s)

    @property
    def time_to_first_token_s(self) -> float | None:
        """From submission to the first token."""
        return _between(self.submitted_s, self.first_token_s)

    @property
    def prefill_s(self) -> float | None:
        """From the first step to the first token."""
        return _between(self.started_s, self.first_token_s)

    @property
    def decode_s(self) -> float | None:
        """From the first token to the last."""
        return _between(self.first_token_s, self.last_token_s)


def _between(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s
