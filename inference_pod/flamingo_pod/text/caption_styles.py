"""The prompts of the three caption styles.

Pure.
"""

from collections.abc import Mapping

from flamingo_common.wire.requests import CaptionRequest, Style

PROMPTS: Mapping[Style, str] = {
    "detailed": (
        "Describe this track in full detail: genre, mood, instrumentation, tempo, key, melody, "
        "harmony, rhythm, structure, vocals, and production."
    ),
    "brief": "Describe this track in two or three sentences.",
    "technical": (
        "Describe this track in technical terms: tempo, time signature, key, chord progression, "
        "instrumentation, arrangement, production and audio quality."
    ),
}


def caption_prompt(request: CaptionRequest) -> str:
    """Return the request's own prompt, or else its style's."""
    return request.prompt or PROMPTS[request.style]
