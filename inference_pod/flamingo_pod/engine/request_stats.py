"""What one request still asks of the engine, and what it has taken of it.

Pure: the engine's thread writes, the event loop reads; each field is one number.
"""

from dataclasses import dataclass

from flamingo_common.audio.windows import TOKENS_PER_WINDOW


@dataclass(eq=False, slots=True)
class RequestStats:
    """One request's; its choices share it. Moments are the monotonic clock's, None until then."""

    route: str = ""
    clip_name: str = ""
    """The router's name for its clip; empty where there is none."""
    wants_metrics: bool = False
    """Whether its answer says how long it took."""
    num_choices: int = 1
    num_windows_left: int = 0
    """To encode, once the caches have given what they hold."""
    num_prompt_tokens_left: int = 0
    """Tokens of the prompt still to read, likewise."""
    num_output_tokens_left: int = 0
    """Tokens that may still be written, by all choices."""
    num_windows_encoded: int = 0
    """Windows that were encoded for it."""
    num_prefix_tokens_computed: int = 0
    """Tokens up to the end of its clip that were read for it."""
    num_output_tokens: int = 0
    compute_s: float = 0.0
    """Its share of the engine's steps."""
    encode_s: float = 0.0
    """The part of it that hearing windows took."""
    audio_s: float = 0.0
    """How long its clip plays."""
    audio_decode_started_s: float | None = None
    audio_decode_s: float = 0.0
    """What reading its clip took, in another process."""
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    """Of the prompt's tokens, those that needed no computing."""
    finish_reasons: tuple[str, ...] = ()
    """Of its choices, once all have ended."""
    submitted_s: float | None = None
    started_s: float | None = None
    """When the first step computed something for it."""
    encoded_s: float | None = None
    """When the last of its windows was encoded."""
    first_token_s: float | None = None
    last_token_s: float | None = None

    def record_encoded_windows(self, num_windows: int) -> None:
        """Note windows that were encoded."""
        self.num_windows_encoded += num_windows
        self.num_windows_left = max(0, self.num_windows_left - num_windows)

    def record_token(self, now_s: float, *, is_text: bool) -> None:
        """Note a token; the end of sequence is one without text."""
        self.first_token_s = self.first_token_s or now_s
        self.last_token_s = now_s
        self.num_output_tokens += is_text
        self.reduce_expected_output(1)

    def reduce_expected_output(self, num_tokens: int) -> None:
        """Note tokens that will not be written any more."""
        self.num_output_tokens_left = max(0, self.num_output_tokens_left - num_tokens)

    @property
    def num_windows_computed(self) -> int:
        """Windows that were computed: encoded, or read anew from states that a cache held."""
        return max(
            self.num_windows_encoded, -(-self.num_prefix_tokens_computed // TOKENS_PER_WINDOW)
        )

    @property
    def queue_s(self) -> float | None:
        """From being submitted to the first step."""
        return _between(self.submitted_s, self.started_s)

    @property
    def time_to_first_token_s(self) -> float | None:
        """From being submitted to the first token."""
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
