"""What a request will take of one pod: `base + b · windows + c · tokens`, in seconds.

Windows cost encoding and prefill, tokens cost decoding. A pod measures both and
says so in its load report, so a slower GPU costs more; until it does, the prior
stands in. Any prior ranks requests alike, which is what balancing needs: what
hurts is a wrong ratio between long and short.

Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from flamingo.audio.windows import num_windows
from flamingo.wire.report import LoadReport

BASE_S = 0.01
PRIOR_WINDOW_S = 0.03
"""An 8B model on an H200: 750 tokens at 60 % of its peak, and 5 ms for the encoder."""
PRIOR_TOKEN_S = 0.005


@dataclass(frozen=True, slots=True)
class Shape:
    """What a route does with a request."""

    window_share: float = 1.0
    """The part of `window_s` it needs: an embedding is encoded, not prefilled."""
    num_tokens: int = 0
    """Tokens an answer usually has. The request's own limit may come after the audio."""


SHAPES: Mapping[str, Shape] = {
    "/v1/chat/completions": Shape(num_tokens=256),
    "/v1/audio/captions": Shape(num_tokens=200),
    "/v1/audio/analyze": Shape(num_tokens=200),
    "/v1/audio/embeddings": Shape(window_share=0.25),
    "/v1/embeddings": Shape(window_share=0.25),
}
"""The routes that take work, and so the ones that are relayed with a cost."""


def cost_s(route: str, audio_s: float, load: LoadReport | None) -> float:
    """Return the seconds that `audio_s` of audio on `route` take of the pod with `load`."""
    shape = SHAPES.get(route)
    if shape is None:
        return 0.0
    window_s = (load and load.window_s) or PRIOR_WINDOW_S
    token_s = (load and load.token_s) or PRIOR_TOKEN_S
    windows = num_windows(audio_s) if audio_s > 0 else 0
    return BASE_S + shape.window_share * window_s * windows + token_s * shape.num_tokens
