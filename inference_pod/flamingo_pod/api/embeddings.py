"""Handlers of embeddings: our route, with one row per frame, and OpenAI's, with one per clip."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from flamingo_common.errors import UnsupportedParameter
from flamingo_common.service import http
from flamingo_common.wire import parse, responses
from flamingo_common.wire.openai_embeddings import OpenAIEmbeddingRequest
from flamingo_common.wire.requests import EmbeddingOptions, EmbeddingRequest
from flamingo_pod import caller
from flamingo_pod.api import embedding_format
from flamingo_pod.api.embedding_format import Rows
from flamingo_pod.api.request import body, clip_intake, clip_sources, request_stats
from flamingo_pod.api.request.body import ReceivedBody
from flamingo_pod.api.request.clip_intake import ClipLength, PreparedClip
from flamingo_pod.api.request.clip_sources import ClipSource
from flamingo_pod.engine.costs.request_stats import RequestStats
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel


async def handle_embeddings(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/audio/embeddings`."""
    with pod.admit(caller.from_request(request)) as served:
        received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
        options = parse.validate_request(
            EmbeddingRequest, body.fields_with_audio(received), is_form=received.is_form
        )
        served.check_model(options.model)
        stats = request[request_stats.REQUEST_STATS]
        audio = received.file or options.audio
        with clip_sources.naming(ClipSource(audio, body.audio_place(received))):
            clip = await clip_intake.read_clip(pod, served, request, audio, options)
        rows = await _encode(served, clip, options, stats)
        request[http.LOG_FIELDS]["audio_s"] = round(clip.seconds, 3)
        return await asyncio.to_thread(_response, served, clip, rows, options)


async def handle_openai_embeddings(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Handle `POST /v1/embeddings`: one vector per clip, one clip after the other."""
    with pod.admit(caller.from_request(request)) as served:
        received = await body.read(request, max_bytes=pod.settings.max_body_bytes)
        options = parse.validate_request(
            OpenAIEmbeddingRequest, body.fields_with_input(received), is_form=received.is_form
        )
        served.check_model(options.model)
        _check_width(served, options)
        sources = _sources(options, received)
        stats = request[request_stats.REQUEST_STATS]
        lengths: list[ClipLength] = []
        data: list[responses.OpenAIEmbedding] = []
        for number, source in enumerate(sources):  # only one decoded clip is in memory
            with clip_sources.naming(source):
                clip = await clip_intake.read_clip(pod, served, request, source.audio, options)
            rows = await _encode(served, clip, options, stats)
            data.append(
                responses.OpenAIEmbedding(
                    index=number,
                    embedding=embedding_format.encode_vector(rows, options),
                    audio=clip_intake.reference_of(clip),
                )
            )
            lengths.append(clip.length)
        usage = _usage(lengths)
        request[http.LOG_FIELDS]["audio_s"] = usage.audio_seconds
        return http.json_response(
            responses.OpenAIEmbeddingList(data=data, model=served.card.id, usage=usage)
        )


def _sources(options: OpenAIEmbeddingRequest, received: ReceivedBody) -> list[ClipSource]:
    if (attached := body.attached_audio(received)) is not None:
        return [ClipSource(attached, body.place_of(attached))]
    clips = options.clips
    return [ClipSource(audio, place, len(clips) > 1) for place, audio in clips.items()]


def _check_width(served: ServedModel, options: OpenAIEmbeddingRequest) -> None:
    width = served.card.embedding_dimensions[options.layer]
    if options.dimensions not in (None, width):
        raise UnsupportedParameter(
            f"dimensions must be {width} for the layer {options.layer}, or left out",
            param="dimensions",
        )


async def _encode(
    served: ServedModel, clip: PreparedClip, options: EmbeddingOptions, stats: RequestStats
) -> Rows:
    stats.num_windows_left = clip.num_windows
    with served.engine.load.in_flight(stats):
        async with served.caller.enforce_deadline():
            return await embedding_format.compute_rows(served, clip.audio, options, stats)


def _usage(lengths: Sequence[ClipLength]) -> responses.EmbeddingUsage:
    num_tokens = sum(length.num_tokens for length in lengths)
    return responses.EmbeddingUsage(
        prompt_tokens=num_tokens,
        total_tokens=num_tokens,
        **clip_intake.audio_usage(lengths),
        num_frames=num_tokens,
    )


def _response(
    served: ServedModel, clip: PreparedClip, rows: Rows, options: EmbeddingRequest
) -> web.Response:
    if options.encoding_format == "npy":
        return web.Response(
            body=embedding_format.encode_npy(rows), content_type="application/x-npy"
        )
    response = responses.EmbeddingList(
        **served.response_fields("emb"),
        data=[embedding_format.embedding_data(rows, options, clip.audio.first_frame)],
        usage=_usage([clip.length]),
        audio=clip_intake.reference_of(clip),
    )
    return web.Response(
        body=embedding_format.encode(response, rows),
        content_type="application/json",
        charset="utf-8",
    )
