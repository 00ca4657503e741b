"""The pod's HTTP application: its routes and its background tasks."""

import asyncio
import os
from collections.abc import AsyncIterator

from aiohttp import web

from flamingo_common.errors import FlamingoError, ModelNotFound, response_headers, to_body
from flamingo_common.service import auth, content_coding, cors, docs, exposition, http, page
from flamingo_common.wire import routes
from flamingo_common.wire.responses import Health, ModelList
from flamingo_pod import watchdog
from flamingo_pod.api import captions, embeddings, transcriptions
from flamingo_pod.api.analysis import analysis, recipes
from flamingo_pod.api.chat import chat, responses
from flamingo_pod.api.decisions import decisions
from flamingo_pod.api.request import clip_intake, request_stats
from flamingo_pod.gauges import PodCollector
from flamingo_pod.pod import Pod
from flamingo_pod.telemetry import vllm_aliases

POD = web.AppKey("pod", Pod)
API: dict[str, request_stats.Handler] = {
    "/v1/chat/completions": chat.handle_chat,
    "/v1/responses": responses.handle_responses,
    "/v1/audio/transcriptions": transcriptions.handle_transcription,
    "/v1/audio/captions": captions.handle_caption,
    "/v1/audio/analyze": analysis.handle_analysis,
    "/v1/audio/embeddings": embeddings.handle_embeddings,
    "/v1/embeddings": embeddings.handle_openai_embeddings,
    "/v1/decisions": decisions.handle_decisions,
}


def create(pod: Pod) -> web.Application:
    """Return the application that serves `pod`."""
    app = http.create_app(
        max_body_bytes=pod.settings.max_body_bytes, trusted_proxies=pod.settings.trusted_proxies
    )
    app[POD] = pod
    registry = pod.metrics.registry
    registry.register(PodCollector(pod))
    for path, handler in API.items():
        app.router.add_post(path, request_stats.with_request_stats(pod, handler))
    app.router.add_get("/v1/models", _models)
    app.router.add_get("/v1/models/{id:.+}", _model)
    app.router.add_get("/v1/recipes", _recipes)
    app.router.add_get("/health", _health)
    app.router.add_get("/health/ready", _health)
    app.router.add_get("/health/live", _live)
    app.router.add_get("/stats", _stats)
    aliases = (
        vllm_aliases.VllmAliasCollector(registry, pod.model_name)
        if pod.settings.metric_aliases
        else None
    )
    exposition.add_to(app, registry, aliases)
    page.add_to(app)
    docs.add_to(app, routes.POD)
    cors.add_to(app, pod.settings.cors_origin)
    app.on_response_prepare.append(clip_intake.set_audio_headers)
    auth.add_to(app, pod.settings.key_file, pod.settings.allowed_hosts)
    content_coding.add_to(app)
    app.cleanup_ctx.append(_background_tasks)
    return app


async def _models(request: web.Request) -> web.Response:
    with request.app[POD].admit() as served:
        return http.json_response(ModelList(data=[served.card]))


async def _model(request: web.Request) -> web.Response:
    with request.app[POD].admit() as served:
        if (name := request.match_info["id"]) != served.card.id:
            raise ModelNotFound(f"model {name!r} is not served here; see /v1/models", param="model")
        return http.json_response(served.card)


async def _recipes(request: web.Request) -> web.Response:
    return http.json_response(recipes.recipe_list(request.app[POD]))


async def _health(request: web.Request) -> web.Response:
    pod = request.app[POD]
    report = pod.ready_report().model_dump(mode="json", exclude_none=True)
    try:
        pod.check_ready()
    except FlamingoError as error:
        response = http.json_response(report | to_body(error), status=503)
        response.headers.update(response_headers(error))
        return response
    return http.json_response(report)


async def _live(request: web.Request) -> web.Response:
    is_alive = request.app[POD].is_alive
    health = Health(status="live" if is_alive else "failed")
    return http.json_response(health, status=200 if is_alive else 503)


async def _stats(request: web.Request) -> web.Response:
    return http.json_response(request.app[POD].load_report())


async def _background_tasks(app: web.Application) -> AsyncIterator[None]:
    """Load the model in the background: the port is open from the start."""
    pod = app[POD]
    coroutines = (
        pod.start(os.environ),
        watchdog.log_loading_progress(pod),
        watchdog.watch_engine(pod),
    )
    tasks = [asyncio.create_task(each) for each in coroutines]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    pod.stop()
