"""Responses as the results of a batch's items.

Pure.
"""

from typing import Any

from flamingo.batch.outcomes import ItemResult
from flamingo.client.results import Analysis, Embedding, Reply
from flamingo.client.taxonomies import Tags
from flamingo_common.wire.decisions import Decision, DecisionUsage
from flamingo_common.wire.responses import AudioUsage, Caption


def of_caption(caption: Caption) -> ItemResult:
    """Return the result of `batch_caption`."""
    return ItemResult(
        caption=caption.caption,
        finish_reason=caption.finish_reason,
        model=caption.model,
        **_usage(caption.usage),
    )


def of_reply(reply: Reply) -> ItemResult:
    """Return the result of `batch_ask`."""
    return ItemResult(
        answer=reply.text,
        finish_reason=reply.finish_reason,
        model=reply.model,
        **_usage(reply.usage),
    )


def of_embedding(embedding: Embedding) -> ItemResult:
    """Return the result of `batch_embed`."""
    return ItemResult(
        embedding=embedding.embedding,
        frame_timestamps=embedding.frame_timestamps,
        model=embedding.model,
        **_usage(embedding.usage),
    )


def of_tags(tags: Tags) -> ItemResult:
    """Return the result of `batch_tag`."""
    found = {name: {tag.label: tag.probability for tag in some} for name, some in tags.tags.items()}
    return ItemResult(tags=found, model=tags.model, **_usage(tags.usage))


def of_decision(decision: Decision) -> ItemResult:
    """Return the result of `batch_decisions`, which has no answers: they are only yielded."""
    return ItemResult(model=decision.model, **_usage(decision.usage))


def of_analysis(analysis: Analysis) -> ItemResult:
    """Return the result of `batch_analyze`."""
    return ItemResult(
        caption=analysis.caption,
        answers=analysis.answers,
        measured=None if analysis.measured is None else analysis.measured.model_dump(mode="json"),
        finish_reason=analysis.finish_reason,
        embedding=analysis.embedding,
        frame_timestamps=analysis.frame_timestamps,
        model=analysis.model,
        **_usage(analysis.usage),
    )


def _usage(usage: AudioUsage | DecisionUsage) -> dict[str, Any]:
    return {
        "usage": usage.model_dump(mode="json"),
        "audio_s": usage.audio_seconds,
        "missing_s": usage.audio_missing_seconds,
    }
