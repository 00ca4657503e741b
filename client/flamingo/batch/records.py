"""An outcome as one flat JSON object, which is a line of JSONL or a row of a table.

The columns of the input come first and keep their names. One that has the name of a field of ours
is kept as `input_NAME`, so a file that a batch wrote can be the manifest of the next one.

Pure.
"""

from collections.abc import Mapping
from typing import Any

from flamingo.batch.outcomes import ItemError, ItemResult, Outcome, RecordedItem
from flamingo_common.wire.answers import Answer

FIELDS = frozenset(
    {
        "key",
        "caption",
        "answer",
        "answers",
        "answer_errors",
        "cut_answers",
        "tag_probabilities",
        "measured",
        "comparisons",
        "answer_confidences",
        "finish_reason",
        "embedding_file",
        "embedding_shape",
        "model",
        "usage",
        "audio_seconds",
        "audio_missing_seconds",
        "attempts",
        "error",
    }
)
"""The names that a batch writes."""


def record(outcome: Outcome, *, embedding_file: str | None = None) -> dict[str, Any]:
    """Return `outcome` as a JSON object, without the numbers of its embedding.

    `error` is null if all was answered; otherwise it has `code`, `message` and `request_id`.
    """
    fields: dict[str, Any] = {"key": outcome.key}
    for name, value in outcome.columns.items():
        fields[f"input_{name}" if name in FIELDS else name] = value
    if outcome.result is not None:
        fields |= _result_fields(outcome.result, embedding_file)
    fields |= {"attempts": outcome.num_attempts, "error": _error_fields(outcome.error)}
    return fields


def recorded_item(fields: Any) -> RecordedItem:
    """Return what a JSON object that `record` returned says of its item.

    Raises:
        ValueError: it has no `key`, so a batch did not write it.
    """
    key = fields.get("key") if isinstance(fields, dict) else None
    if not isinstance(key, str):
        raise ValueError("not a JSON object with a `key`")  # noqa: TRY004 - as of JSON
    error = fields.get("error")
    if error is None:
        return RecordedItem(key)
    message = error.get("message") if isinstance(error, dict) else error
    return RecordedItem(key, str(message or "failed"))


def _result_fields(result: ItemResult, embedding_file: str | None) -> dict[str, Any]:
    embedding = result.embedding
    fields = {
        "caption": result.caption,
        "answer": result.answer,
        **_answers_fields(result.answers),
        "tag_probabilities": {name: dict(one) for name, one in result.tags.items()} or None,
        "measured": result.measured,
        "comparisons": _comparisons(result.answers) or None,
        "answer_confidences": _confidences(result.answers) or None,
        "finish_reason": result.finish_reason,
        "embedding_file": embedding_file,
        "embedding_shape": None if embedding is None else list(embedding.shape),
    }
    return {
        **{name: value for name, value in fields.items() if value is not None},
        "model": result.model,
        "usage": dict(result.usage),
        "audio_seconds": result.audio_s,
        "audio_missing_seconds": result.missing_s,
    }


def answer_value(answer: Answer) -> Any:
    """Return an answer as a JSON value in the form that it has; None if it failed.

    Sections are an object with the `text` that they were read from, and decisions a list.
    """
    if answer.error is not None:
        return None
    if answer.sections is not None:
        sections = [one.model_dump(mode="json") for one in answer.sections]
        return {"text": answer.content, "sections": sections, "faults": answer.faults or []}
    if answer.decisions is not None:
        return [one.model_dump(mode="json") for one in answer.decisions]
    return answer.content if answer.parsed is None else answer.parsed


def _answers_fields(answers: Mapping[str, Answer]) -> dict[str, Any]:
    """Return the answers by name, the errors of those that failed, and the names of cut texts."""
    errors = [
        {"name": name, **one.error.model_dump(), "content": one.content}
        for name, one in answers.items()
        if one.error is not None
    ]
    cut = [name for name, one in answers.items() if one.finish_reason == "length" and not one.error]
    values = {name: answer_value(one) for name, one in answers.items()}
    return {"answers": values or None, "answer_errors": errors or None, "cut_answers": cut or None}


def _comparisons(answers: Mapping[str, Answer]) -> list[dict[str, Any]]:
    """Return the fields of all answers beside what was measured, each with its question."""
    return [
        {"question": name, **each.model_dump(mode="json")}
        for name, one in answers.items()
        for each in one.comparisons or ()
    ]


def _confidences(answers: Mapping[str, Answer]) -> dict[str, dict[str, float]]:
    """Return how sure the model is of each value, by question and JSON Pointer."""
    return {name: one.confidence for name, one in answers.items() if one.confidence is not None}


def _error_fields(error: ItemError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "request_id": error.request_id}
