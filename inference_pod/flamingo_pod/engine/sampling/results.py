"""The results of sampling: a token with its log-probabilities, or that there is none.

Pure.
"""

from dataclasses import dataclass, field

NO_TOKEN = -1
"""In place of a token id where no token can be sampled."""


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A token, and its probability in the model's own distribution.

    Log-probabilities are natural, and taken before bias, penalties, grammar and temperature, as
    vLLM's default is (`logprobs_mode="raw_logprobs"`).
    """

    token_id: int
    logprob: float | None = None
    """None unless requested."""
    top_logprobs: tuple[tuple[int, float], ...] = ()
    """Token ids with their log-probabilities, likeliest first; empty unless requested."""
    token_logprobs: tuple[float, ...] = ()
    """Of the `logprob_token_ids`."""
    is_corrected: bool = field(default=False, compare=False)
    """Whether the token id on the device was another one: what was launched from it is wrong."""


@dataclass(frozen=True, slots=True)
class InvalidLogits:
    """No token: the row's logits contain NaN or +inf, or no token is allowed."""


SamplingResult = SampledToken | InvalidLogits
"""Of one row."""
