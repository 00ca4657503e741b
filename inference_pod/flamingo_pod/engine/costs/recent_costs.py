"""What a window and a token have cost of late, learned from the sums of the profile.

Each is an average that forgets: after a half-life of further units, what was before counts half. A
pod that has captioned clips all night must not be judged by the short questions of the day before.

The prefill of a window is learned from steps with many prompt tokens, since matrix products of few
rows cost several times as much a row; from others only until there was one.

Pure.
"""

from dataclasses import dataclass, field, replace

from flamingo_common.audio.windows import TOKENS_PER_WINDOW
from flamingo_pod.engine.costs.forgetting_mean import ForgettingMean
from flamingo_pod.engine.costs.profile import EngineProfile

HALF_LIFE_WINDOWS = 40.0
"""A clip of twenty minutes."""
HALF_LIFE_TOKENS = HALF_LIFE_WINDOWS * TOKENS_PER_WINDOW
HALF_LIFE_DECODED = 2000.0
MIN_PREFILLED = 256
"""Prompt tokens of a step that tells what a window costs."""


@dataclass(slots=True)
class RecentCosts:
    """The costs, each None before the first measurement."""

    _encode: ForgettingMean = field(default_factory=ForgettingMean)
    _prefill: ForgettingMean = field(default_factory=ForgettingMean)
    _short_prefill: ForgettingMean = field(default_factory=ForgettingMean)
    _decode: ForgettingMean = field(default_factory=ForgettingMean)
    _seen: EngineProfile = field(default_factory=EngineProfile)

    @property
    def encode_s(self) -> float | None:
        """Seconds to encode a window."""
        return self._encode.unit_s

    @property
    def prefill_s(self) -> float | None:
        """Seconds to prefill a window's worth of tokens."""
        token_s = self._prefill.unit_s or self._short_prefill.unit_s
        return None if token_s is None else token_s * TOKENS_PER_WINDOW

    @property
    def token_s(self) -> float | None:
        """Seconds of a decoded token."""
        return self._decode.unit_s

    def observe(self, profile: EngineProfile) -> None:
        """Learn from what was added to the sums of `profile` since the last call."""
        seen, now = self._seen, replace(profile)
        encode_s = now.mel_s + now.encode_s - seen.mel_s - seen.encode_s
        _add(self._encode, encode_s, now.num_windows - seen.num_windows, HALF_LIFE_WINDOWS)
        num_prefilled = now.num_prefilled - seen.num_prefilled
        mean = self._prefill if num_prefilled >= MIN_PREFILLED else self._short_prefill
        _add(mean, now.prefill_s - seen.prefill_s, num_prefilled, HALF_LIFE_TOKENS)
        decode_s, num_decoded = now.decode_s - seen.decode_s, now.num_decoded - seen.num_decoded
        _add(self._decode, decode_s, num_decoded, HALF_LIFE_DECODED)
        self._seen = now


def _add(mean: ForgettingMean, seconds: float, num_units: int, half_life: float) -> None:
    mean.add(seconds, num_units, kept=0.5 ** (num_units / half_life))
