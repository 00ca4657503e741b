"""An outcome as one flat JSON object, which is a line of JSONL or a row of a table.

The columns of the input come first and keep their names. One that has the name of a field of ours
is kept as `input_NAME`, so a file that a batch wrote can be the manifest of the next one.

Pure.
"""

from typing import Any

from flamingo.batch.outcomes import ItemError, ItemResult, Outcome, RecordedItem

FIELDS = frozenset(
    {
        "key",
        "caption",
        "answer",
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

    `error` is null if there is a result; otherwise it has `code`, `message` and `request_id`.
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


def _error_fields(error: ItemError | None) -> dict[str, Any] | None:
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "request_id": error.request_id}
