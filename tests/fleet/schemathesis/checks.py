"""What the OpenAPI document allows is refused only for what no schema can tell."""

import schemathesis

NO_SCHEMA_TELLS = {
    "audio_too_long",
    "clip_not_held",
    "context_length_exceeded",
    "invalid_audio",
    "media_fetch_failed",
    "model_not_found",
    "not_found",
}
UNKNOWN_HEADER = "x-schemathesis-unknown-property"
FIELDS = {
    "after": "an id that the list has",
    "audio_id": "the id or a file, and one of them once",
    "audio": "a URL without a scheme",
    "confidence": "needs questions beside it",
    "dimensions": "the checkpoint's own width",
    "end": "after start",
    "expires_after": "both of its fields or none",
    "function_call": "a function of the request",
    "functions": "different names, and schemas that can be enforced",
    "guided_choice": "one format of an answer",
    "guided_grammar": "one format of an answer, that can be enforced",
    "guided_json": "one format of an answer, that can be enforced",
    "guided_json_object": "one format of an answer",
    "guided_regex": "one format of an answer, that can be enforced",
    "input_file_id": "a file that exists",
    "input": "a URL whose scheme is right and whose rest is not; the rules of messages",
    "instructions": "control tokens",
    "logit_bias": "the ids that the vocabulary has",
    "messages": "control tokens; one clip a conversation, in a turn of the user",
    "min_tokens": "at most max_tokens",
    "prompt": "control tokens",
    "questions": "what no schema tells: names and options that differ, recipes, control tokens",
    "request": "a field that is also in a part of its own",
    "response_format": "one format of an answer, that can be enforced",
    "start": "within the clip",
    "stop_token_ids": "the ids that the vocabulary has",
    "structured_outputs": "one format of an answer, that can be enforced",
    "text": "a schema that can be enforced, with the type that has one",
    "timestamp_granularities": "needs verbose_json",
    "tool_choice": "a tool of the request, and no auto",
    "tools": "different names, and schemas that can be enforced",
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


@schemathesis.hook
def filter_case(ctx, case):
    """Leave out headers that no document has: HTTP lets a server ignore them."""
    return UNKNOWN_HEADER not in (case.headers or {})
