"""The log-probabilities of a choice's tokens, as OpenAI's API returns them."""

from collections.abc import Sequence
from typing import Any

from flamingo_common.wire import responses
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.engine.scheduling.sequence import TokenOutput
from flamingo_pod.served_model import ServedModel
from flamingo_pod.text.byte_level import token_bytes

MIN_LOGPROB = -9999.0
"""OpenAI's value for a log-probability of minus infinity, which JSON cannot represent."""


def logprobs_of(
    served: ServedModel, result: Generation, outputs: Sequence[TokenOutput]
) -> responses.Logprobs | None:
    """Return the log-probabilities of tokens; None: the request has not asked for them."""
    if result.request.params.num_logprobs is None:
        return None
    tokenizer = served.checkpoint.processor.tokenizer
    return responses.Logprobs(
        content=[
            responses.TokenLogprob(
                **_token_logprob(tokenizer, output.token_id, output.logprob),
                top_logprobs=[
                    responses.TopLogprob(**_token_logprob(tokenizer, *pair))
                    for pair in output.top_logprobs
                ],
            )
            for output in outputs
            if output.token_id is not None and output.logprob is not None
        ]
    )


def _token_logprob(tokenizer: Any, token_id: int, logprob: float) -> dict[str, Any]:
    """Return a token's text, log-probability and bytes, which may be a part of a character."""
    token = token_bytes(tokenizer, token_id)
    return {
        "token": (token or b"").decode(errors="replace"),
        "logprob": max(logprob, MIN_LOGPROB),
        "bytes": None if token is None else list(token),
    }
