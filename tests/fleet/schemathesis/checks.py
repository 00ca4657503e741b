"""What the OpenAPI document allows is refused only for what no schema can tell."""

import schemathesis

NO_SCHEMA_TELLS = {
    "audio_too_long",
    "context_length_exceeded",
    "invalid_audio",
    "media_fetch_failed",
    "model_not_found",
    "not_found",
}
FIELDS = {
    "dimensions": "the checkpoint's own width",
    "input": "a URL whose scheme is right and whose rest is not",
    "logit_bias": "the ids that the vocabulary has",
    "messages": "control tokens; one clip a conversation, in a turn of the user",
    "prompt": "control tokens",
    "response_format": "a schema that can be enforced",
    "top_logprobs": "needs logprobs beside it",
    "url": "not a URL",
}


@schemathesis.check
def schema_valid_requests_are_answered(ctx, response, case):
    is_positive = case.meta is not None and case.meta.generation.mode.is_positive
    if not is_positive or not 400 <= response.status_code < 500:
        return
    error = response.json()["error"]
    field = (error["param"] or "").partition(".")[0].partition("[")[0]
    assert error["code"] in NO_SCHEMA_TELLS or field in FIELDS, error
