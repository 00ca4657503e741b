"""Do what was decided, and see at once what came of it.

Creations are idempotent by name, deletions name the object's uid and version: a
stale decision is refused by the API server and made anew.
"""

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from flamingo_common.service import logs
from flamingo_operator.api import names, timestamps
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.actions import (
    Action,
    Apply,
    Delete,
    Drain,
    ExtendDrain,
    Repair,
    Undrain,
)
from flamingo_operator.cluster.kube import ApiError, KubeClient
from flamingo_operator.cluster.observed import Pod, controller_uid
from flamingo_operator.cluster.projection import digest_of_manifest, is_managed_by_us
from flamingo_operator.cluster.store import Store

NOT_FOUND, CONFLICT = 404, 409


class StaleError(Exception):
    """The cluster is not what was decided upon; decide again."""


async def apply(kube: KubeClient, store: Store, actions: Iterable[Action]) -> list[str]:
    """Do `actions`; return a sentence for each that the API server will not take.

    Raises:
        Stale: something else changed meanwhile.
        ApiError: the API server failed; nothing is lost by trying again.
    """
    stages: tuple[list[Action], ...] = ([], [], [])
    for action in actions:
        stages[_stage(action)].append(action)
    refusals: list[str] = []
    for stage in stages:
        refusals += await _all(_done(kube, store, action) for action in stage)
    return refusals


def _stage(action: Action) -> int:
    """Return when an action comes: what the API server refuses before another is done, after it."""
    kind = action.manifest["kind"] if isinstance(action, Apply) else "Pod"
    # A binding needs its role, a pod its service account.
    return {"RoleBinding": 1, "Pod": 2}.get(kind, 0)


async def _all(doing: Iterable[Awaitable[str | None]]) -> list[str]:
    ended = await asyncio.gather(*doing, return_exceptions=True)
    errors = [one for one in ended if isinstance(one, BaseException)]
    if errors:
        # A bug or a cancellation before a conflict before an outage.
        raise min(errors, key=_harmlessness)
    return [one for one in ended if isinstance(one, str)]


def _harmlessness(error: BaseException) -> int:
    return isinstance(error, StaleError) + 2 * isinstance(error, ApiError)


async def _done(kube: KubeClient, store: Store, action: Action) -> str | None:
    try:
        refusal = await _do(kube, store, action)
    except ApiError as error:
        is_new = isinstance(action, Apply)
        if error.status == CONFLICT or (error.status == NOT_FOUND and not is_new):
            raise StaleError(f"{action}: {error.message}") from error
        if error.is_refusal or error.status == NOT_FOUND:
            # What cannot be found, to make something in, is a namespace or a kind.
            return f"{action}: {error.message}"
        raise
    if refusal is None:
        logs.get().info("action.done", action=str(action))
    return refusal


async def _do(kube: KubeClient, store: Store, action: Action) -> str | None:
    match action:
        case Apply() if action.manifest["kind"] == "Pod":
            await _create_pod(kube, store, action.manifest)
        case Apply():
            return await _apply(kube, store, action)
        case Drain(pod, started_s, until_s):
            await _mark(kube, store, pod, _drain_mark(started_s, until_s))
        case ExtendDrain(pod, until_s):
            until = {names.DRAIN_UNTIL: timestamps.encode(until_s)}
            await _mark(kube, store, pod, {"annotations": until})
        case Undrain(pod):
            await _mark(kube, store, pod, _UNDRAINED)
        case Repair(pod, owner):
            await _mark(kube, store, pod, _mending(pod, owner))
        case Delete():
            await _delete(kube, store, action)
    return None


async def _create_pod(kube: KubeClient, store: Store, manifest: dict[str, Any]) -> None:
    try:
        raw = await kube.create(kinds.POD, manifest)
    except ApiError as error:
        if error.status != CONFLICT:
            raise
        metadata = manifest["metadata"]
        # Somebody was faster: we ourselves before a crash, as a rule. See it.
        found = await kube.find(kinds.POD, metadata["namespace"], metadata["name"])
        if found is None:
            raise
        if not _has_our_labels(found, manifest):
            store.release(_key(manifest), metadata["name"])
            raise
        raw = found
    store.put(raw, "Pod")


def _key(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return names.deployment_key(metadata["namespace"], metadata["labels"][names.DEPLOYMENT_LABEL])


def _has_our_labels(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    has, wanted = found["metadata"].get("labels", {}), manifest["metadata"]["labels"]
    return all(
        has.get(one) == wanted[one] for one in (names.DEPLOYMENT_LABEL, names.COMPONENT_LABEL)
    )


async def _apply(kube: KubeClient, store: Store, action: Apply) -> str | None:
    manifest = action.manifest
    kind, metadata = kinds.BY_NAME[manifest["kind"]], manifest["metadata"]
    if action.is_new:
        found = await kube.find(kind, metadata["namespace"], metadata["name"])
        if found is not None and not _is_ours(found, manifest):
            return f"{kind.name} {metadata['name']} exists and belongs to somebody else"
        if found is not None and "data" in manifest:
            # A revision's template cannot be changed, also not by another release.
            manifest = {**manifest, "data": found["data"]}
    raw = await kube.apply(kind, manifest)
    store.put(raw, kind.name, applied=digest_of_manifest(manifest))
    return None


def _is_ours(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    has = controller_uid(found)
    return has == controller_uid(manifest) if has else is_managed_by_us(found)


def _drain_mark(started_s: float, until_s: float) -> dict[str, Any]:
    return {
        "labels": {names.SERVING_LABEL: "false"},
        "annotations": {
            names.DRAIN_STARTED: timestamps.encode(started_s),
            names.DRAIN_UNTIL: timestamps.encode(until_s),
        },
    }


_UNDRAINED = {
    "labels": {names.SERVING_LABEL: "true"},
    "annotations": {names.DRAIN_STARTED: None, names.DRAIN_UNTIL: None},
}


def _mending(pod: Pod, owner: dict[str, Any]) -> dict[str, Any]:
    labels = {names.SERVING_LABEL: "false" if pod.is_draining else "true"}
    return {"labels": labels, "ownerReferences": [owner]}


async def _mark(kube: KubeClient, store: Store, pod: Pod, metadata: dict[str, Any]) -> None:
    raw = await kube.merge(kinds.POD, pod.ref, {"metadata": metadata})
    store.put(raw, "Pod")


async def _delete(kube: KubeClient, store: Store, action: Delete) -> None:
    try:
        raw = await kube.delete(
            kinds.BY_NAME[action.ref.kind], action.ref, grace_period_s=action.grace_period_s
        )
    except ApiError as error:
        if error.status != NOT_FOUND:
            raise
        raw = {}
    metadata = raw.get("metadata", {})
    if metadata.get("deletionGracePeriodSeconds", 0) > 0 or metadata.get("finalizers"):
        store.put(raw, action.ref.kind)
    else:
        store.drop(action.ref)
