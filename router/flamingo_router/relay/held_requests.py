"""Requests with the id of a clip: where it is held, and how long it is."""

import dataclasses
from collections.abc import Mapping

from flamingo_common import numerals
from flamingo_common.errors import ClipNotHeld
from flamingo_common.wire import AUDIO_HEADER, AUDIO_ID_HEADER, clip_ids
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.held_clips import HeldClip
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.request import audio_length
from flamingo_router.request.audio_length import AudioLength


def with_clip(
    balancer: Balancer, info: RequestInfo, clip_id: str, *, now_s: float
) -> tuple[RequestInfo, AudioLength]:
    """Return the request with what is known of its clip, and the clip's length.

    Without any ready pod this does not wait for one: a pod that starts holds no clip, so the
    client has to send the clip in any case, and that request waits. Only a pod that this router
    has not asked yet can turn out to hold it.

    Raises:
        ClipNotHeld: no pod that is ready holds the clip for this tenant.
    """
    name = _name(clip_id, info)
    info = dataclasses.replace(info, held=name, clip=name)
    if not balancer.holders(info, now_s=now_s) and not balancer.fleet.is_awaiting_reports:
        raise not_held(info)
    found = balancer.held.find(name)
    if found is None:  # where pods do not say what they hold
        return info, audio_length.ASSUMED
    return dataclasses.replace(info, clip=found.clip), AudioLength(found.seconds, "held")


def with_holders(
    balancer: Balancer, info: RequestInfo, clip_id: str | None, *, now_s: float
) -> RequestInfo:
    """Return a request that has a clip and the id of another, to be sent where that one is held.

    An id that no pod is known to hold leaves the choice to the clip; the pod says what is true.
    """
    if clip_id is None:
        return info
    asked = dataclasses.replace(info, held=_name(clip_id, info))
    return asked if balancer.holders(asked, now_s=now_s) else info


def record(
    balancer: Balancer, info: RequestInfo, address: str, headers: Mapping[str, str], *, now_s: float
) -> None:
    """Record that a pod holds the clip that it has answered about, by its response's headers."""
    clip_id = headers.get(AUDIO_ID_HEADER, "")
    if not clip_ids.is_clip_id(clip_id):  # none, or several
        return
    name, is_part = _name(clip_id, info), info.audio_s != info.whole_s
    seconds = info.whole_s if is_part else numerals.number(headers.get(AUDIO_HEADER, ""))
    if seconds is not None:
        held = HeldClip(seconds, info.whole_clip or name)
        balancer.held.record(address, name, held, now_s=now_s)


def not_held(info: RequestInfo) -> ClipNotHeld:
    """Return the error for a clip that no pod holds which can take requests."""
    return ClipNotHeld(clip_ids.NOT_HELD, param=info.clip_field)


def _name(clip_id: str, info: RequestInfo) -> str:
    return clip_ids.held_name(clip_id, info.tenant.encode())
