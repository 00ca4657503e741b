"""Do what was decided, and see at once what came of it.

Creations are idempotent by name, deletions name the object's uid and version: a
stale decision is refused by the API server and made anew.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from flamingo.service import logs
from flamingo_operator import kinds, moments, names
from flamingo_operator.actions import Action, Apply, Delete, Drain, Extend, Undrain
from flamingo_operator.kube import ApiError, Kube
from flamingo_operator.observed import Pod
from flamingo_operator.projection import digest_of_manifest
from flamingo_operator.store import Store

NOT_FOUND, CONFLICT = 404, 409


class Stale(Exception):
    """The cluster is not what was decided upon; decide again."""


async def apply(kube: Kube, store: Store, actions: Iterable[Action]) -> list[str]:
    """Do `actions`; return a sentence for each that the API server will not take.

    Raises:
        Stale: something else changed meanwhile.
        ApiError: the API server failed; nothing is lost by trying again.
    """
    pods: list[Action] = []
    others: list[Action] = []
    for action in actions:
        is_pods = not isinstance(action, Apply) or action.manifest["kind"] == "Pod"
        (pods if is_pods else others).append(action)
    # A pod is refused as long as its service account does not exist.
    refusals = await _all(_done(kube, store, action) for action in others)
    return refusals + await _all(_done(kube, store, action) for action in pods)


async def _all(doing: Iterable[Awaitable[str | None]]) -> list[str]:
    ended = await asyncio.gather(*doing, return_exceptions=True)
    errors = [one for one in ended if isinstance(one, BaseException)]
    if errors:
        # A bug or a cancellation before a conflict before an outage.
        raise min(errors, key=_harmlessness)
    return [one for one in ended if isinstance(one, str)]


def _harmlessness(error: BaseException) -> int:
    return isinstance(error, Stale) + 2 * isinstance(error, ApiError)


async def _done(kube: Kube, store: Store, action: Action) -> str | None:
    try:
        refusal = await _do(kube, store, action)
    except ApiError as error:
        if error.status == CONFLICT:
            raise Stale(f"{action}: {error.message}") from error
        if error.is_refusal:
            return f"{action}: {error.message}"
        raise
    if refusal is None:
        logs.get().info("action.done", action=str(action))
    return refusal


async def _do(kube: Kube, store: Store, action: Action) -> str | None:
    match action:
        case Apply() if action.manifest["kind"] == "Pod":
            await _create_pod(kube, store, action.manifest)
        case Apply():
            return await _apply(kube, store, action)
        case Drain(pod, started_s, until_s):
            await _mark(kube, store, pod, _drain_mark(started_s, until_s))
        case Extend(pod, until_s):
            until = {names.DRAIN_UNTIL: moments.encode(until_s)}
            await _mark(kube, store, pod, {"annotations": until})
        case Undrain(pod):
            await _mark(kube, store, pod, _UNDRAINED)
        case Delete():
            await _delete(kube, store, action)
    return None


async def _create_pod(kube: Kube, store: Store, manifest: dict[str, Any]) -> None:
    try:
        raw = await kube.create(kinds.POD, manifest)
    except ApiError as error:
        if error.status != CONFLICT:
            raise
        metadata = manifest["metadata"]
        # Somebody was faster: we ourselves before a crash, as a rule. See it.
        found = await kube.find(kinds.POD, metadata["namespace"], metadata["name"])
        if found is None or names.DEPLOYMENT_LABEL not in found["metadata"].get("labels", {}):
            raise
        raw = found
    store.put(raw, "Pod")


async def _apply(kube: Kube, store: Store, action: Apply) -> str | None:
    manifest = action.manifest
    kind, metadata = kinds.BY_NAME[manifest["kind"]], manifest["metadata"]
    if action.is_new:
        found = await kube.find(kind, metadata["namespace"], metadata["name"])
        if found is not None and not _is_ours(found, manifest):
            return f"{kind.name} {metadata['name']} exists and belongs to somebody else"
    raw = await kube.apply(kind, manifest)
    store.put(raw, kind.name, applied=digest_of_manifest(manifest))
    return None


def _is_ours(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    wanted = {one["uid"] for one in manifest["metadata"].get("ownerReferences", ())}
    has = {one["uid"] for one in found["metadata"].get("ownerReferences", ())}
    is_labelled = found["metadata"].get("labels", {}).get(names.DEPLOYMENT_LABEL)
    return wanted <= has if wanted else is_labelled is not None


def _drain_mark(started_s: float, until_s: float) -> dict[str, Any]:
    return {
        "labels": {names.SERVING_LABEL: "false"},
        "annotations": {
            names.DRAIN_STARTED: moments.encode(started_s),
            names.DRAIN_UNTIL: moments.encode(until_s),
        },
    }


_UNDRAINED = {
    "labels": {names.SERVING_LABEL: "true"},
    "annotations": {names.DRAIN_STARTED: None, names.DRAIN_UNTIL: None},
}


async def _mark(kube: Kube, store: Store, pod: Pod, metadata: dict[str, Any]) -> None:
    raw = await kube.merge(kinds.POD, pod.ref, {"metadata": metadata})
    store.put(raw, "Pod")


async def _delete(kube: Kube, store: Store, action: Delete) -> None:
    try:
        raw = await kube.delete(kinds.BY_NAME[action.ref.kind], action.ref, grace_s=action.grace_s)
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        raw = {}
    is_still_there = raw.get("metadata", {}).get("deletionGracePeriodSeconds", 0) > 0
    if is_still_there:
        store.put(raw, action.ref.kind)
    else:
        store.drop(action.ref)
