"""Handler of analyses: a caption and an embedding of a clip, or answers to several questions."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from flamingo_common.errors import FlamingoError
from flamingo_common.measured.comparisons import Counterpart
from flamingo_common.service import http
from flamingo_common.wire.analysis import AnalyzeRequest
from flamingo_common.wire.answers import Analysis, AnalysisChunk, Answer
from flamingo_common.wire.responses import FinishReason
from flamingo_pod import caller
from flamingo_pod.api import captions, embedding_format
from flamingo_pod.api.analysis import answers, measuring, question_decisions, questions
from flamingo_pod.api.analysis.measuring import Measuring
from flamingo_pod.api.analysis.question_decisions import AskedDecisions
from flamingo_pod.api.analysis.questions import Asked, AskedGeneration
from flamingo_pod.api.decisions.decide import Decided
from flamingo_pod.api.generation import generation, request_timings, stream
from flamingo_pod.api.generation.generated_choice import ChoiceDelta
from flamingo_pod.api.generation.generation import Generation
from flamingo_pod.api.request import clip_intake, request_stats
from flamingo_pod.api.request.clip_intake import PreparedClip
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel


async def handle_analysis(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/analyze`."""
    with pod.admit(caller.from_request(request)) as served:
        options, received = await captions.parse_request(pod, served, request, AnalyzeRequest)
        measuring.check(measure=options.measure)
        asked = questions.resolve(options, pod.recipes)
        pod.check_choices(len(options.questions or ()) or 1)
        clip = await captions.read_clip(pod, served, request, received, options)
        async with measuring.started(pod, served.caller, clip) as measured:
            if options.questions is not None:
                stats = request[request_stats.REQUEST_STATS]
                work = await _prepared(served, options, asked, clip, stats)
                request[http.LOG_FIELDS] |= work.log_fields()
                events = _answer_events(pod, served, work, measured)
            else:
                result = await captions.prepare(served, request, options, clip)
                events = _caption_events(pod, served, result, measured)
            if options.stream:
                encoded = _encoded(served, events, clip, options)
                return await stream.respond(
                    request, encoded, heartbeat_interval_s=pod.settings.heartbeat_interval_s
                )
            return await _whole(served, events, clip, options)


Events = AsyncGenerator[AnalysisChunk, None]


async def _caption_events(
    pod: Pod, served: ServedModel, result: Generation, measured: Measuring
) -> Events:
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
        measured=await measured.result(),
        audio=clip_intake.reference_of(result.request.clip),
        metrics=generation.request_metrics(result),
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """All questions of a request, validated and tokenized, but not started."""

    clip: PreparedClip
    stats: RequestStats
    generations: Sequence[AskedGeneration]
    decisions: AskedDecisions | None

    def log_fields(self) -> dict[str, object]:
        """Return the access log's fields about the request."""
        if self.generations:
            return generation.log_fields(self.generations[0].result.request)
        return {"audio_s": round(self.clip.seconds, 3)}


async def _prepared(
    served: ServedModel,
    options: AnalyzeRequest,
    asked: Sequence[Asked],
    clip: PreparedClip,
    stats: RequestStats,
) -> _Work:
    generations = await questions.prepare(served, asked, clip, stats)
    decisions = await question_decisions.prepare(served, options, clip, stats)
    stats.num_choices = len(options.questions or ())
    return _Work(clip, stats, generations, decisions)


async def _answer_events(pod: Pod, served: ServedModel, work: _Work, measured: Measuring) -> Events:
    """Yield the events of all answers; the last one has the usage.

    Decisions come first: they take one prefill, and what follows uses the KV of their clip.
    """
    common = served.response_fields("ana")
    decided: Decided | FlamingoError | None = None
    if work.decisions is not None:
        is_all = not work.generations
        decided = await question_decisions.answer(served, work.decisions, is_all=is_all)
        for name, whole in question_decisions.answers(work.decisions, decided):
            yield AnalysisChunk(**common, name=name, delta="", answer=whole)
    reasons: list[FinishReason] = []
    if work.generations:
        is_all = not isinstance(decided, Decided)
        texts = _text_events(pod, served, work, common, is_all=is_all)
        compared = _compared(texts, work.generations, measured)
        async with contextlib.aclosing(texts), contextlib.aclosing(compared) as events:
            async for event in events:
                reasons += [event.finish_reason] if event.finish_reason else []
                yield event
    decision_usage = decided.usage if isinstance(decided, Decided) else None
    usage = answers.usage(work.clip, work.generations, decision_usage)
    work.stats.num_prompt_tokens = usage.prompt_tokens
    generation.count(pod.metrics, work.stats, usage, reasons)
    metrics = request_timings.of_request(work.stats, usage.completion_tokens, len(work.generations))
    yield AnalysisChunk(
        **common,
        delta="",
        usage=usage,
        measured=await measured.result(),
        audio=clip_intake.reference_of(work.clip),
        metrics=metrics,
    )


async def _text_events(
    pod: Pod, served: ServedModel, work: _Work, common: Mapping[str, Any], *, is_all: bool
) -> Events:
    """Yield the events of the answers with text, with the fields that all events have."""
    outcomes = questions.answer(pod, served, work.generations, is_all=is_all)
    written: dict[str, list[ChoiceDelta]] = defaultdict(list)
    async with contextlib.aclosing(outcomes):
        async for question, outcome in outcomes:
            name = question.asked.name
            error = outcome if isinstance(outcome, FlamingoError) else None
            delta = "" if isinstance(outcome, FlamingoError) else outcome.text
            if not isinstance(outcome, FlamingoError):
                written[name].append(outcome)
                if outcome.finish_reason is None:
                    yield AnalysisChunk(**common, name=name, delta=delta)
                    continue
            # In a thread: an answer of thousands of lines takes a fifth of a second to read.
            whole = await asyncio.to_thread(answers.answer, question, written[name], error)
            yield AnalysisChunk(
                **common, name=name, delta=delta, finish_reason=whole.finish_reason, answer=whole
            )


async def _compared(
    events: Events, generations: Sequence[AskedGeneration], measured: Measuring
) -> Events:
    """Yield the events, with comparisons in answers that have fields which can be measured.

    Whole answers that wait for the measurement come after all others, which do not.
    """
    fields = {each.asked.name: each.asked.measured for each in generations}
    waiting: list[tuple[AnalysisChunk, Answer]] = []
    async for event in events:
        if event.answer is None or not fields.get(event.name or ""):
            yield event
        elif measured.is_awaited:
            waiting.append((event, event.answer))
        else:
            yield await _with_comparisons(event, event.answer, fields, measured)
    for event, answer in waiting:
        yield await _with_comparisons(event, answer, fields, measured)


async def _with_comparisons(
    event: AnalysisChunk,
    answer: Answer,
    fields: Mapping[str, Mapping[str, Counterpart]],
    measured: Measuring,
) -> AnalysisChunk:
    compared = await measured.compared(fields[event.name or ""], answer)
    return event.model_copy(update={"answer": compared})


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
        measured=last.measured,
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
