"""Reads the one clip of a conversation, of a chat, of decisions or of a response."""

from collections.abc import Sequence

from aiohttp import web

from flamingo_common.wire.clip_options import ClipOptions
from flamingo_pod.api.request import clip_intake, clip_sources
from flamingo_pod.api.request.clip_intake import PreparedClip
from flamingo_pod.api.request.clip_sources import ClipSource
from flamingo_pod.audio.memory_budget import RESERVATION
from flamingo_pod.pod import Pod
from flamingo_pod.served_model import ServedModel


async def read_clip(
    pod: Pod,
    served: ServedModel,
    request: web.Request,
    sources: Sequence[ClipSource],
    options: ClipOptions,
) -> PreparedClip | None:
    """Return the decoded clip, which may be in several sources; None if there are none.

    Only `sources` may have the clip's base64, so that a clip that is sent twice is freed.

    Raises:
        BadRequest: there are different clips.
        FlamingoError: as `clip_intake.read_clip`; it names the source.
    """
    async with served.caller.enforce_deadline():
        source = await clip_sources.only_clip(
            sources, pod.fetcher, request[RESERVATION], served.caller.salt
        )
    if source is None:
        return None
    with clip_sources.naming(source):
        return await clip_intake.read_clip(pod, served, request, source.audio, options)
