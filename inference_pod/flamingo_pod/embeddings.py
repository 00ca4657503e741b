"""One embedding: parse → read the audio → encode → write."""

import asyncio

from aiohttp import web

from flamingo.service import http
from flamingo.wire import parse, responses
from flamingo.wire.requests import EmbeddingRequest
from flamingo_pod import accounts, body, clip, embedding
from flamingo_pod.pod import Pod, Served


async def handle(pod: Pod, request: web.Request) -> web.StreamResponse:
    """Answer `POST /v1/audio/embeddings`."""
    with pod.serving() as served:
        came = await body.read(request, max_bytes=pod.settings.max_body_bytes)
        asked = parse.request(EmbeddingRequest, body.with_audio(came))
        served.check_model(asked.model)
        heard = await clip.read(pod, served, came.file or asked.audio)
        request[http.FACTS]["audio_s"] = round(heard.seconds, 3)
        account = request[accounts.ACCOUNT]
        account.num_windows_left = heard.num_windows
        with served.engine.load.holding(account):
            rows = await embedding.rows(served, heard.audio, asked, account)
        return await asyncio.to_thread(_response, served, heard, rows, asked)


def _response(
    served: Served, heard: clip.Clip, rows: embedding.Rows, asked: EmbeddingRequest
) -> web.Response:
    if asked.encoding_format == "npy":
        return web.Response(body=embedding.npy(rows), content_type="application/x-npy")
    usage = responses.EmbeddingUsage(
        prompt_tokens=heard.num_tokens,
        total_tokens=heard.num_tokens,
        audio_seconds=round(heard.seconds, 3),
        num_frames=heard.num_tokens,
    )
    return http.json_response(
        responses.EmbeddingList(
            **served.heading("emb"),
            data=[embedding.describe(rows, asked)],
            usage=usage,
        )
    )
