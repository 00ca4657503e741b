"""What a request will take of one pod: `base + b · windows + c · tokens`, in seconds.

Windows cost encoding and prefill, tokens cost decoding. The coefficients are learned
(`learning`); until they are, what the pod measures of itself stands in, and before
that the prior. Any prior ranks requests alike, which is what balancing needs: what
hurts is a wrong ratio between long and short.

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
HELD_SHARE = 0.03
"""Of its windows' cost, what a clip takes that the pod still holds: a follow-up on the same
clip computes 0.7 to 1.9 % of its prompt anew."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Predicted seconds of a pod, in its two lanes."""

    prefill_s: float
    """Before the first token: who comes next waits for it."""
    decode_s: float
    """After it: shared with those that decode beside it."""

    @property
    def total_s(self) -> float:
        """Both lanes together."""
        return self.prefill_s + self.decode_s


@dataclass(frozen=True, slots=True)
class Work:
    """What a request asks of a pod, whichever it is."""

    num_windows: float
    num_tokens: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What one request, one window and one token cost."""

    base_s: float
    window_s: float
    token_s: float

    def cost(self, work: Work, *, is_held: bool = False, speed: float = 1.0) -> Cost:
        """Return what `work` costs a pod that takes `speed` times as long as usual."""
        windows = work.num_windows * (HELD_SHARE if is_held else 1.0)
        prefill_s = self.base_s + self.window_s * windows
        return Cost(speed * prefill_s, speed * self.token_s * work.num_tokens)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a route does with a request."""

    window_share: float = 1.0
    """The part of `window_s` it needs: an embedding is encoded, not prefilled."""
    num_tokens: int = 0
    """Tokens an answer usually has, until that is learned."""


SHAPES: Mapping[str, Shape] = {
    "/v1/chat/completions": Shape(num_tokens=256),
    "/v1/audio/captions": Shape(num_tokens=200),
    "/v1/audio/analyze": Shape(num_tokens=200),
    "/v1/audio/embeddings": Shape(window_share=0.25),
    "/v1/embeddings": Shape(window_share=0.25),
}
"""The routes that take work, and so the ones that are relayed with a cost."""
NO_SHAPE = Shape(window_share=0.0)
NO_RATES = Rates(0.0, 0.0, 0.0)


def windows_of(audio_s: float) -> int:
    """Return the windows that `audio_s` of audio take."""
    return num_windows(audio_s) if audio_s > 0 else 0


def prior(route: str, load: LoadReport | None) -> Rates:
    """Return the rates of a pod of which only its own load report is known."""
    shape = SHAPES.get(route)
    if shape is None:
        return NO_RATES
    window_s = (load and load.window_s) or PRIOR_WINDOW_S
    token_s = (load and load.token_s) or PRIOR_TOKEN_S
    return Rates(BASE_S, shape.window_share * window_s, token_s)
