"""Handler of analyses: a caption and an embedding of a clip, or answers to several questions."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence

from aiohttp import web

from flamingo_common.errors import FlamingoError
from flamingo_common.service import http
from flamingo_common.wire.analysis import AnalyzeRequest
from flamingo_common.wire.answers import Analysis, AnalysisChunk
from flamingo_common.wire.responses import FinishReason
from flamingo_pod import caller
from flamingo_pod.api import (
    answers,
    captions,
    clip_intake,
    embedding_format,
    generation,
    questions,
    request_stats,
    request_timings,
    stream,
)
from flamingo_pod.api.clip_intake import PreparedClip
from flamingo_pod.api.generation import Generation
from flamingo_pod.api.questions import AskedGeneration
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel


async def handle_analysis(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/analyze`."""
    with pod.admit(caller.from_request(request)) as served:
        options, received = await captions.parse_request(pod, served, request, AnalyzeRequest)
        asked = questions.resolve(options, pod.recipes)
        pod.check_choices(max(len(asked), 1))
        clip = await captions.read_clip(pod, served, request, received, options)
        if asked:
            stats = request[request_stats.REQUEST_STATS]
            prepared = await questions.prepare(served, asked, clip, stats)
            request[http.LOG_FIELDS] |= generation.log_fields(prepared[0].result.request)
            events = _answer_events(pod, served, prepared)
        else:
            result = await captions.prepare(served, request, options, clip)
            events = _caption_events(pod, served, result)
        if options.stream:
            encoded = _encoded(served, events, clip, options)
            return await stream.respond(
                request, encoded, heartbeat_interval_s=pod.settings.heartbeat_interval_s
            )
        return await _whole(served, events, clip, options)


Events = AsyncGenerator[AnalysisChunk, None]


async def _caption_events(pod: Pod, served: ServedModel, result: Generation) -> Events:
    """Yield the events of a caption; the last one has the usage."""
    common = served.response_fields("ana")
    async with contextlib.aclosing(generation.generate(pod, served, result)) as deltas:
        async for delta in deltas:
            if delta.text:
                yield AnalysisChunk(**common, delta=delta.text)
    yield AnalysisChunk(
        **common,
        delta="",
        finish_reason=result.finish_reason,
        usage=result.usage,
        audio=clip_intake.reference_of(result.request.clip),
        metrics=generation.request_metrics(result),
    )


async def _answer_events(
    pod: Pod, served: ServedModel, prepared: Sequence[AskedGeneration]
) -> Events:
    """Yield the events of all answers; the last one has the usage."""
    common = served.response_fields("ana")
    texts: dict[str, list[str]] = defaultdict(list)
    reasons: list[FinishReason] = []
    async with contextlib.aclosing(questions.answer(pod, served, prepared)) as outcomes:
        async for question, outcome in outcomes:
            name = question.asked.name
            error = outcome if isinstance(outcome, FlamingoError) else None
            delta = "" if isinstance(outcome, FlamingoError) else outcome.text
            texts[name].append(delta)
            if not isinstance(outcome, FlamingoError) and outcome.finish_reason is None:
                yield AnalysisChunk(**common, name=name, delta=delta)
                continue
            # In a thread: an answer of thousands of lines takes a fifth of a second to read.
            whole = await asyncio.to_thread(answers.answer, question, "".join(texts[name]), error)
            reasons += [whole.finish_reason] if whole.finish_reason else []
            yield AnalysisChunk(
                **common, name=name, delta=delta, finish_reason=whole.finish_reason, answer=whole
            )
    stats, usage = prepared[0].result.request.stats, answers.usage(prepared)
    generation.count(pod.metrics, stats, usage, reasons)
    metrics = request_timings.of_request(stats, usage.completion_tokens, len(prepared))
    audio = clip_intake.reference_of(prepared[0].result.request.clip)
    yield AnalysisChunk(**common, delta="", usage=usage, audio=audio, metrics=metrics)


async def _encoded(
    served: ServedModel, events: Events, clip: PreparedClip, options: AnalyzeRequest
) -> AsyncGenerator[stream.Event, None]:
    """Yield the events, and add the embedding to the last one."""
    async with contextlib.aclosing(events):
        async for event in events:
            if event.usage is None or not options.has_embedding:
                yield event
                continue
            rows = await _rows(served, clip, options)
            data = embedding_format.embedding_data(rows, options, clip.audio.first_frame)
            complete = event.model_copy(update={"embedding": data})
            yield (await asyncio.to_thread(embedding_format.encode, complete, rows)).decode()


async def _whole(
    served: ServedModel, events: Events, clip: PreparedClip, options: AnalyzeRequest
) -> web.Response:
    """Return one response with all that the events have."""
    async with contextlib.aclosing(events):
        received = [event async for event in events]
    last = received[-1]
    assert last.usage is not None  # it has the usage of all
    analysis = Analysis(
        id=last.id,
        created=last.created,
        model=last.model,
        usage=last.usage,
        audio=last.audio,
        metrics=last.metrics,
    )
    if options.questions is None:
        analysis.caption = "".join(event.delta for event in received)
        analysis.finish_reason = last.finish_reason
    else:
        found = {event.name: event.answer for event in received if event.answer is not None}
        analysis.answers = {
            question.name: answer
            for question in options.questions
            if (answer := found.get(question.name)) is not None
        }
    if not options.has_embedding:
        return http.json_response(analysis)
    rows = await _rows(served, clip, options)
    analysis.embedding = embedding_format.embedding_data(rows, options, clip.audio.first_frame)
    encoded = await asyncio.to_thread(embedding_format.encode, analysis, rows)
    return web.Response(body=encoded, content_type="application/json", charset="utf-8")


async def _rows(
    served: ServedModel, clip: PreparedClip, options: AnalyzeRequest
) -> embedding_format.Rows:
    # The clip keeps the states of its windows: nothing is encoded twice.
    return await embedding_format.compute_rows(served, clip.audio, options)
