"""The answers to questions, as the response has them: read as JSON or as sections, with errors."""

import json
from collections.abc import Sequence
from typing import Any

from flamingo_common.errors import FlamingoError
from flamingo_common.timed_text.parse import parse
from flamingo_common.wire.answers import Answer, AnswerError, AnswerUsage, to_sections
from flamingo_common.wire.decisions import DecisionUsage
from flamingo_common.wire.responses import PromptTokensDetails, Usage
from flamingo_pod.api.analysis.questions import AskedGeneration
from flamingo_pod.api.generation.generated_choice import ChoiceDelta
from flamingo_pod.api.request.clip_intake import PreparedClip, audio_usage
from flamingo_pod.text import confidence

CUT = "the answer is not complete: it has max_tokens ({}) tokens, the maximum; raise max_tokens"


def answer(
    question: AskedGeneration, deltas: Sequence[ChoiceDelta], error: FlamingoError | None
) -> Answer:
    """Return the answer to one question. Takes milliseconds for a long text."""
    asked, result = question.asked, question.result
    text = "".join(delta.text for delta in deltas)
    num_prompt = len(result.request.token_ids) - _clip(question).num_tokens
    usage = AnswerUsage(prompt_tokens=num_prompt, completion_tokens=result.num_tokens)
    reason = None if error else result.finish_reason
    fields: dict[str, Any] = {}
    if error is not None:
        fields["error"] = AnswerError(code=error.code, message=error.message)
    elif reason == "length" and asked.is_constrained:
        message = CUT.format(result.request.params.max_tokens)
        fields["error"] = AnswerError(code="answer_incomplete", message=message)
    elif asked.is_json:
        fields["parsed"] = json.loads(text)
    if "error" not in fields:
        fields["confidence"] = _confidence(question, text, deltas)
    if "error" not in fields and asked.parser is not None:
        length = _clip(question).length
        found = parse(text, length.start_s + length.seconds, start_s=length.start_s)
        fields |= {"sections": to_sections(found), "faults": list(found.faults)}
    return Answer(
        content=text,
        finish_reason=reason,
        recipe=asked.recipe and asked.recipe.name,
        usage=usage,
        **fields,
    )


def _confidence(
    question: AskedGeneration, text: str, deltas: Sequence[ChoiceDelta]
) -> dict[str, float] | None:
    if question.result.request.params.num_logprobs is None:
        return None
    token_bytes = question.result.choices[0].token_bytes
    tokens = [
        (token_bytes[output.token_id], output.logprob)
        for delta in deltas
        for output in delta.outputs
        if output.token_id is not None and output.logprob is not None
    ]
    of_values = confidence.of_json if question.asked.is_json else confidence.of_text
    return of_values(text, tokens)


def usage(
    clip: PreparedClip, questions: Sequence[AskedGeneration], decided: DecisionUsage | None
) -> Usage:
    """Return the usage of all questions together, in which the clip counts once.

    Cached are the tokens that were before the request: decisions, which come first, cache the clip.
    """
    num_text = sum(len(each.result.request.token_ids) - clip.num_tokens for each in questions)
    num_output = sum(each.result.num_tokens for each in questions)
    if decided is None:
        num_cached = min((each.result.choices[0].num_cached for each in questions), default=0)
    else:
        num_text += decided.input_tokens - clip.num_tokens
        num_cached = decided.input_tokens_details.cached_tokens
    return Usage(
        prompt_tokens=clip.num_tokens + num_text,
        completion_tokens=num_output,
        total_tokens=clip.num_tokens + num_text + num_output,
        prompt_tokens_details=PromptTokensDetails(
            audio_tokens=clip.num_tokens, text_tokens=num_text, cached_tokens=num_cached
        ),
        **audio_usage([clip.length]),
    )


def _clip(question: AskedGeneration) -> PreparedClip:
    assert question.result.request.clip is not None  # every question has one
    return question.result.request.clip
