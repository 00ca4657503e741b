"""Execute actions against the API server, and put the results into the store at once.

Creations are idempotent by name; updates and deletions name the object's uid and
resource version. So the API server rejects an action that was decided on outdated
state, and the reconciliation is repeated.
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
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.kube import (
    CONFLICT,
    NOT_FOUND,
    STRATEGIC_MERGE,
    ApiError,
    KubeClient,
)
from flamingo_operator.cluster.observed import Pod, controller_uid
from flamingo_operator.cluster.projection import digest_of_manifest, is_managed_by_us
from flamingo_operator.cluster.rejections import Rejection, rejection_reason
from flamingo_operator.cluster.store import Store


class StaleError(Exception):
    """The cluster has changed since the decision; reconcile again."""


async def apply_actions(
    kube: KubeClient, store: Store, actions: Iterable[Action]
) -> list[Rejection]:
    """Execute `actions`; return one entry for each that the API server rejects.

    Raises:
        StaleError: an object has changed in the meantime.
        ApiError: the API server failed; it is safe to retry.
    """
    stages: tuple[list[Action], ...] = ([], [], [])
    for action in actions:
        stages[_stage(action)].append(action)
    rejections: list[Rejection] = []
    for stage in stages:
        rejections += await _gather(_execute(kube, store, action) for action in stage)
    return rejections


def _stage(action: Action) -> int:
    """Return the order of an action that needs the result of others."""
    kind = action.manifest["kind"] if isinstance(action, Apply) else "Pod"
    # A RoleBinding needs its Role, and a pod its ServiceAccount.
    return {"RoleBinding": 1, "Deployment": 2, "Job": 2, "Pod": 2}.get(kind, 0)


async def _gather(doing: Iterable[Awaitable[Rejection | None]]) -> list[Rejection]:
    results = await asyncio.gather(*doing, return_exceptions=True)
    errors = [one for one in results if isinstance(one, BaseException)]
    if errors:
        # A bug or a cancellation is raised before a conflict, and that before an outage.
        raise max(errors, key=_severity)
    return [one for one in results if isinstance(one, Rejection)]


def _severity(error: BaseException) -> int:
    return -(isinstance(error, StaleError) + 2 * isinstance(error, ApiError))


async def _execute(kube: KubeClient, store: Store, action: Action) -> Rejection | None:
    try:
        rejection = await _dispatch(kube, store, action)
    except ApiError as error:
        is_new = isinstance(action, Apply)
        if error.status == CONFLICT or (error.status == NOT_FOUND and not is_new):
            raise StaleError(f"{action}: {error.message}") from error
        if error.is_rejection or error.status == NOT_FOUND:
            # Not found while creating means that the namespace or the kind does not exist.
            return _rejection(action, error.message)
        raise
    if rejection is None:
        logs.get().info("action.done", action=str(action), **_deployment_of(action))
    return rejection


def _deployment_of(action: Action) -> dict[str, str]:
    """Return the namespace and name of the FlamingoDeployment, for the log."""
    match action:
        case Apply():
            metadata = action.manifest["metadata"]
            # An alias Service belongs to several.
            name = metadata.get("labels", {}).get(names.DEPLOYMENT_LABEL, "")
            return {"namespace": metadata["namespace"], "deployment": name}
        case Delete():
            return {"namespace": action.ref.namespace, "deployment": action.ref.deployment}
    ref = action.pod.ref
    return {"namespace": ref.namespace, "deployment": ref.deployment}


def _rejection(action: Action, message: str) -> Rejection:
    reason, text = rejection_reason(message), f"{action}: {message}"
    if not isinstance(action, Apply):
        return Rejection(reason, text, message)
    kind, metadata = action.manifest["kind"], action.manifest["metadata"]
    component = metadata.get("labels", {}).get(names.COMPONENT_LABEL, "")
    return Rejection(reason, text, message, kind, metadata["name"], component)


async def _dispatch(kube: KubeClient, store: Store, action: Action) -> Rejection | None:
    match action:
        case Apply() if action.manifest["kind"] == "Pod":
            await _create_pod(kube, store, action.manifest)
        case Apply():
            return await _apply(kube, store, action)
        case Drain(pod, started_s, until_s):
            await _patch_metadata(kube, store, pod, _drain_metadata(started_s, until_s))
        case ExtendDrain(pod, until_s):
            until = {names.DRAIN_UNTIL: timestamps.encode(until_s)}
            await _patch_metadata(kube, store, pod, {"annotations": until})
        case Undrain(pod):
            await _patch_metadata(kube, store, pod, _UNDRAIN_METADATA)
        case Repair(pod, owner):
            await _patch_metadata(kube, store, pod, _repair_metadata(pod, owner))
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
        # It exists already, usually because this operator created it before a crash.
        found = await kube.find(kinds.POD, metadata["namespace"], metadata["name"])
        if found is None:
            raise
        if not _has_our_labels(found, manifest):
            store.mark_released(_key(manifest), metadata["name"])
            raise
        raw = found
    store.put(raw, "Pod")


def _key(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return names.deployment_key(metadata["namespace"], metadata["labels"][names.DEPLOYMENT_LABEL])


def _has_our_labels(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    labels, wanted = found["metadata"].get("labels", {}), manifest["metadata"]["labels"]
    return all(
        labels.get(one) == wanted[one] for one in (names.DEPLOYMENT_LABEL, names.COMPONENT_LABEL)
    )


async def _apply(kube: KubeClient, store: Store, action: Apply) -> Rejection | None:
    manifest = action.manifest
    kind, metadata = kinds.BY_NAME[manifest["kind"]], manifest["metadata"]
    if action.is_new:
        found = await kube.find(kind, metadata["namespace"], metadata["name"])
        if found is not None and not _is_ours(found, manifest):
            return _name_conflict(store, kind, manifest, found)
        if found is not None and "data" in manifest:
            # The template of a revision is immutable, also for another release of the operator.
            manifest = {**manifest, "data": found["data"]}
        if found is None:
            manifest = _with_initial_fields(manifest, action.initial)
    if action.released:
        await _release(kube, kind, action)
    raw = await kube.apply(kind, manifest, replaces=action.replaces)
    store.put(raw, kind.name, applied=digest_of_manifest(manifest))
    return None


def _name_conflict(
    store: Store, kind: Kind, manifest: Mapping[str, Any], found: Mapping[str, Any]
) -> Rejection:
    """Return that the name is taken.

    Raises:
        StaleError: it is taken by what a deleted FlamingoDeployment of the same name left.
    """
    name = f"{kind.name} {manifest['metadata']['name']}"
    if is_managed_by_us(found):
        store.put(found, kind.name)
        if _deployment_label(found) == _deployment_label(manifest):
            raise StaleError(f"{name} of a deleted FlamingoDeployment still exists")
    return Rejection(
        "NameConflict", f"{name} exists and is not controlled by this FlamingoDeployment"
    )


def _deployment_label(body: Mapping[str, Any]) -> str | None:
    label: str | None = body["metadata"].get("labels", {}).get(names.DEPLOYMENT_LABEL)
    return label


def _with_initial_fields(manifest: dict[str, Any], initial: Mapping[str, Any]) -> dict[str, Any]:
    return {**manifest, **{part: {**manifest[part], **initial[part]} for part in initial}}


async def _release(kube: KubeClient, kind: Kind, action: Apply) -> None:
    """Let another field manager own what we no longer apply.

    It is not done by force: a conflict means that another manager has set another value.
    """
    metadata = {name: action.manifest["metadata"][name] for name in ("name", "namespace")}
    types = {name: action.manifest[name] for name in ("apiVersion", "kind")}
    try:
        await kube.hand_over(kind, {**types, "metadata": metadata, **action.released})
    except ApiError as error:
        if error.status != CONFLICT:
            raise


def _is_ours(found: Mapping[str, Any], manifest: Mapping[str, Any]) -> bool:
    owner = controller_uid(found)
    return owner == controller_uid(manifest) if owner else is_managed_by_us(found)


def _drain_metadata(started_s: float, until_s: float) -> dict[str, Any]:
    return {
        "labels": {names.SERVING_LABEL: "false"},
        "annotations": {
            names.DRAIN_STARTED: timestamps.encode(started_s),
            names.DRAIN_UNTIL: timestamps.encode(until_s),
        },
    }


_UNDRAIN_METADATA = {
    "labels": {names.SERVING_LABEL: "true"},
    "annotations": {names.DRAIN_STARTED: None, names.DRAIN_UNTIL: None},
}


def _repair_metadata(pod: Pod, owner: dict[str, Any]) -> dict[str, Any]:
    labels = {names.SERVING_LABEL: "false" if pod.is_draining else "true"}
    return {"labels": labels, "ownerReferences": [owner]}


async def _patch_metadata(
    kube: KubeClient, store: Store, pod: Pod, metadata: dict[str, Any]
) -> None:
    # Strategic, so that owners of another kind stay.
    raw = await kube.merge(kinds.POD, pod.ref, {"metadata": metadata}, STRATEGIC_MERGE)
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
