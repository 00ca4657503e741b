"""Embeddings: parse → read the audio → encode → write.

Two routes: ours, with a row a frame, and OpenAI's, with a vector a clip.
"""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from flamingo_common.errors import UnsupportedParameter
from flamingo_common.service import http
from flamingo_common.wire import parse, responses
from flamingo_common.wire.openai_embeddings import OpenAIEmbeddingRequest
from flamingo_common.wire.requests import AudioInput, EmbeddingOptions, EmbeddingRequest
from flamingo_pod import caller
from flamingo_pod.api import body, clip_intake, embedding_format, request_stats
from flamingo_pod.api.clip_intake import ClipLength, PreparedClip
from flamingo_pod.api.embedding_format import Rows
from flamingo_pod.audio.memory_file import MemoryFile
from flamingo_pod.engine.request_stats import RequestStats
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel


async def handle(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Generation `POST /v1/audio/embeddings`."""
    with pod.admit(caller.from_request(request)) as served:
        came = await body.read(request, max_bytes=pod.settings.max_body_bytes)
        asked = parse.validate_request(
            EmbeddingRequest, body.with_audio(came), is_form=came.is_form
        )
        served.check_model(asked.model)
        stats = request[request_stats.REQUEST_STATS]
        audio = came.file or asked.audio
        heard = await clip_intake.read_clip(pod, served, request, audio, truncate=asked.truncate)
        rows = await _encode(served, heard, asked, stats)
        request[http.LOG_FIELDS]["audio_s"] = round(heard.seconds, 3)
        return await asyncio.to_thread(_response, served, heard, rows, asked)


async def vectors(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Generation `POST /v1/embeddings`: the clips one after the other, one vector each."""
    with pod.admit(caller.from_request(request)) as served:
        came = await body.read(request, max_bytes=pod.settings.max_body_bytes)
        asked = parse.validate_request(
            OpenAIEmbeddingRequest, body.with_input(came), is_form=came.is_form
        )
        served.check_model(asked.model)
        _check_width(served, asked)
        clips: Sequence[AudioInput | MemoryFile] = [came.file] if came.file else asked.clips
        stats = request[request_stats.REQUEST_STATS]
        lengths: list[ClipLength] = []
        data: list[responses.OpenAIEmbedding] = []
        for number, each in enumerate(clips):  # only one is held decoded
            heard = await clip_intake.read_clip(pod, served, request, each, truncate=asked.truncate)
            rows = await _encode(served, heard, asked, stats)
            data.append(
                responses.OpenAIEmbedding(
                    index=number, embedding=embedding_format.vector(rows, asked)
                )
            )
            lengths.append(heard.length)
        usage = _usage(lengths)
        request[http.LOG_FIELDS]["audio_s"] = usage.audio_seconds
        return http.json_response(
            responses.OpenAIEmbeddingList(data=data, model=served.card.id, usage=usage)
        )


def _check_width(served: ServedModel, asked: OpenAIEmbeddingRequest) -> None:
    width = served.card.embedding_dimensions[asked.layer]
    if asked.dimensions not in (None, width):
        raise UnsupportedParameter(
            f"dimensions is {width} for the layer {asked.layer}; leave it out", param="dimensions"
        )


async def _encode(
    served: ServedModel, heard: PreparedClip, asked: EmbeddingOptions, stats: RequestStats
) -> Rows:
    stats.num_windows_left = heard.num_windows
    with served.engine.load.in_flight(stats):
        async with served.caller.in_time():
            return await embedding_format.rows(served, heard.audio, asked, stats)


def _usage(lengths: Sequence[ClipLength]) -> responses.EmbeddingUsage:
    num_tokens = sum(length.num_tokens for length in lengths)
    return responses.EmbeddingUsage(
        prompt_tokens=num_tokens,
        total_tokens=num_tokens,
        **clip_intake.audio_usage(lengths),
        num_frames=num_tokens,
    )


def _response(
    served: ServedModel, heard: PreparedClip, rows: Rows, asked: EmbeddingRequest
) -> web.Response:
    if asked.encoding_format == "npy":
        return web.Response(body=embedding_format.npy(rows), content_type="application/x-npy")
    answer = responses.EmbeddingList(
        **served.heading("emb"),
        data=[embedding_format.outline(rows, asked)],
        usage=_usage([heard.length]),
    )
    return web.Response(
        body=embedding_format.encode(answer, rows), content_type="application/json", charset="utf-8"
    )
