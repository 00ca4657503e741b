"""What a request costs one pod, in seconds: `base + window · windows + token · tokens`.

Windows cost encoding and prefill, tokens cost decoding. The coefficients are learned
(`regression`). Until they are, the pod's own measurements are used, and before there are
any, a prior. Every prior ranks requests in the same way, and balancing needs only the
ranking: only a wrong ratio between long and short requests does harm.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flamingo_common.audio.windows import num_windows
from flamingo_common.wire.report import LoadReport

BASE_S = 0.01
PRIOR_WINDOW_S = 0.03
"""An 8B model on an H200: 750 tokens at 60 % of its peak, and 5 ms for the encoder."""
PRIOR_TOKEN_S = 0.005
CACHED_CLIP_SHARE = 0.03
"""The share of its windows' cost that a cached clip still takes: a follow-up on the same clip
computes 0.7 to 1.9 % of its prompt again."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Predicted seconds of a request at a pod, by phase."""

    prefill_s: float
    """Until the first token; the next request waits for it."""
    decode_s: float
    """After the first token; shared with the sequences that decode in the same batch."""

    @property
    def total_s(self) -> float:
        """Prefill and decode together."""
        return self.prefill_s + self.decode_s


@dataclass(frozen=True, slots=True)
class Work:
    """The size of a request, whichever pod gets it."""

    num_windows: float
    num_tokens: float


@dataclass(frozen=True, slots=True)
class Rates:
    """The seconds that one request, one window and one token cost."""

    base_s: float
    window_s: float
    token_s: float

    def cost(self, work: Work, *, is_cached: bool = False, slowdown: float = 1.0) -> Cost:
        """Return what `work` costs a pod that takes `slowdown` times as long as the average one."""
        windows = work.num_windows * (CACHED_CLIP_SHARE if is_cached else 1.0)
        prefill_s = self.base_s + self.window_s * windows
        return Cost(slowdown * prefill_s, slowdown * self.token_s * work.num_tokens)


@dataclass(frozen=True, slots=True)
class RouteProfile:
    """What a route does with a request."""

    window_share: float = 1.0
    """The part of `window_s` that it needs: an embedding is encoded, not prefilled."""
    num_tokens: int = 0
    """Tokens that a response usually has, until that is learned."""


DECISIONS = "/v1/decisions"
"""Each question is one token of the work: its own words, and one row of the model's output."""
ROUTE_PROFILES: Mapping[str, RouteProfile] = {
    "/v1/chat/completions": RouteProfile(num_tokens=256),
    "/v1/responses": RouteProfile(num_tokens=256),
    "/v1/audio/transcriptions": RouteProfile(num_tokens=400),
    "/v1/audio/captions": RouteProfile(num_tokens=200),
    "/v1/audio/analyze": RouteProfile(num_tokens=200),
    DECISIONS: RouteProfile(num_tokens=16),
    "/v1/audio/embeddings": RouteProfile(window_share=0.25),
    "/v1/embeddings": RouteProfile(window_share=0.25),
}
"""The routes that run the model, and so the ones that are admitted with a cost."""
NO_PROFILE = RouteProfile(window_share=0.0)
NO_RATES = Rates(0.0, 0.0, 0.0)


def windows_of(audio_s: float) -> int:
    """Return the number of windows in `audio_s` of audio."""
    return num_windows(audio_s) if audio_s > 0 else 0


def prior(route: str, load: LoadReport | None) -> Rates:
    """Return the rates of a pod before any are learned, from its load report if there is one."""
    profile = ROUTE_PROFILES.get(route)
    if profile is None:
        return NO_RATES
    window_s = (load and load.window_s) or PRIOR_WINDOW_S
    token_s = (load and load.token_s) or PRIOR_TOKEN_S
    return Rates(BASE_S, profile.window_share * window_s, token_s)
