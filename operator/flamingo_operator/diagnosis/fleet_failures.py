"""All failures of the pods of one FlamingoDeployment: servers, routers, batches, the preload Job.

A pod that exists is diagnosed by its status; pods that could not be created by the API
server's message, which the operator gets itself, a Deployment has in a condition, and a Job
only in events.

Pure.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from flamingo_operator.api import names
from flamingo_operator.api.names import COMPONENTS, Component
from flamingo_operator.api.spec import Spec
from flamingo_operator.cluster.observed import (
    ControlledPod,
    ObjectRef,
    Observed,
    OwnedObject,
    Pod,
)
from flamingo_operator.cluster.rejections import Rejection
from flamingo_operator.diagnosis import causes, creation_errors, failures
from flamingo_operator.diagnosis.failures import DiagnosisInputs, Failure, FailureCount

STARTUP_S: Mapping[Component, float] = MappingProxyType({"router": 120.0, "batches": 120.0})
"""Time in which pods that load no model become ready."""
STUCK_AFTER_S = 10.0
"""How long a pod may take to get its volumes and its address before its events are read."""
CREATORS = frozenset({"Pod", "Deployment", "Job"})
"""The kinds of objects that pods are, or come from."""


def count_failures(
    spec: Spec, observed: Observed, rejections: Iterable[Rejection], num_held: int, now_s: float
) -> list[FailureCount]:
    """Return each cause with the number of pods; `num_held` server pods were refused before."""
    return failures.count_by_cause(
        [
            *_server_failures(spec, observed, now_s),
            *_controlled_failures(spec, observed, _current(observed, observed.routers), now_s),
            *_controlled_failures(spec, observed, _current(observed, observed.batches_pods), now_s),
            *_controlled_failures(spec, observed, _latest_try(observed), now_s),
            *_uncreated_pods(observed),
            *_rejected(rejections),
            *_held(observed, num_held),
        ]
    )


def revision_failure(spec: Spec, observed: Observed, revision: str, now_s: float) -> str:
    """Return the first cause for which pods of a revision do not come or do not work, or ""."""
    found = [
        (name, failure)
        for name, failure in _server_failures(spec, observed, now_s)
        if any(one.ref.name == name and one.revision == revision for one in observed.pods)
    ]
    if observed.pod_rejection is not None and observed.pod_rejection.revision == revision:
        found += _held(observed, 1)
    counted = failures.count_by_cause(found)
    return f"{counted[0].reason}: {counted[0].message}" if counted else ""


def unexplained(observed: Observed, now_s: float) -> Iterator[ObjectRef]:
    """Yield the objects whose events tell more than their status: the Job, and waiting pods."""
    yield from (one.ref for one in observed.owned.values() if _lacks_pods(observed, one))
    yield from (one.ref for one in _waiting(observed) if now_s >= one.created_s + STUCK_AFTER_S)


def next_unexplained_s(observed: Observed, now_s: float) -> float | None:
    """Return the Unix time at which the next waiting pod counts as unexplained, if any does.

    Nothing else may happen to such a pod, so nothing else would cause its events to be read.
    """
    times_s = (one.created_s + STUCK_AFTER_S for one in _waiting(observed))
    return min((one for one in times_s if one > now_s), default=None)


def _waiting(observed: Observed) -> Iterator[Pod | ControlledPod]:
    """Yield the pods that are on their nodes and have no address.

    They have none before their volumes are mounted and their network is set up.
    """
    controlled = (*observed.preload_pods, *observed.routers, *observed.batches_pods)
    yield from (one for one in controlled if one.diagnosis_json and _lacks_address(one))
    yield from (one for one in observed.pods if one.is_active and _lacks_address(one))


def _lacks_address(pod: Pod | ControlledPod) -> bool:
    return bool(pod.node) and not (pod.ip or pod.is_ready)


def _lacks_pods(observed: Observed, one: OwnedObject) -> bool:
    """Whether an object may lack pods for a reason that only its events tell: a Job."""
    is_over = one.is_complete or one.is_failed or one.is_terminating
    return one.ref.kind == "Job" and not is_over and not observed.preload_pods


def _server_failures(spec: Spec, observed: Observed, now_s: float) -> Iterator[tuple[str, Failure]]:
    for pod in observed.pods:
        found = failures.diagnose_observed(spec, observed, pod, now_s)
        if found is not None:
            yield pod.ref.name, found


def _controlled_failures(
    spec: Spec, observed: Observed, pods: Iterable[ControlledPod], now_s: float
) -> Iterator[tuple[str, Failure]]:
    for pod in pods:
        if not pod.diagnosis_json:
            continue
        node = observed.nodes.get(pod.node)
        found = failures.diagnose(
            DiagnosisInputs(
                pod=json.loads(pod.diagnosis_json),
                now_s=now_s,
                node=node.as_object if node else None,
                events=observed.warnings.get(pod.ref.uid, ()),
                gpu=spec.gpu,
                startup_deadline_s=STARTUP_S.get(pod.component, float("inf")),
                component=pod.component,
            )
        )
        if found is not None:
            yield pod.ref.name, found


def _current(observed: Observed, pods: Sequence[ControlledPod]) -> list[ControlledPod]:
    """Return the pods of a Deployment that count: of those that are finished, the last at most.

    Kubernetes keeps evicted pods, and they explain something only while a pod is missing.
    """
    current = [one for one in pods if not one.is_finished]
    finished = sorted((one for one in pods if one.is_finished), key=_age)
    is_missing = any(
        not one.is_rolled_out and _creator_component(one.ref) == pod.component
        for one in observed.owned.values()
        for pod in finished[-1:]
    )
    return [*current, *finished[-1:]] if is_missing else current


def _age(pod: ControlledPod) -> tuple[float, str]:
    return pod.created_s, pod.ref.name


def _latest_try(observed: Observed) -> list[ControlledPod]:
    """Return the newest pod of a Job that is not complete: each is a try, the others are over."""
    if any(one.ref.kind == "Job" and one.is_complete for one in observed.owned.values()):
        return []
    return sorted(observed.preload_pods, key=_age)[-1:]


def _uncreated_pods(observed: Observed) -> Iterator[tuple[str, Failure]]:
    """Yield why a Deployment or Job of ours could not create pods."""
    for one in observed.owned.values():
        message, since = one.pod_error, one.pod_error_since
        if _lacks_pods(observed, one):
            events = [
                event
                for event in observed.warnings.get(one.ref.uid, ())
                if event.get("reason") == "FailedCreate"
            ]
            message = str(events[-1].get("message") or "") if events else ""
            since = events[-1].get("firstTimestamp") if events else None
        if message and one.ref.kind in CREATORS:
            component = _creator_component(one.ref)
            yield "", _uncreated(component, message, max(1, one.num_missing), since)


def _rejected(rejections: Iterable[Rejection]) -> Iterator[tuple[str, Failure]]:
    """Yield why the operator could not create pods, or what would create them."""
    for one in rejections:
        if one.kind in CREATORS:
            yield "", _uncreated(_component(one.component), one.detail, 1, None)


def _held(observed: Observed, num_held: int) -> Iterator[tuple[str, Failure]]:
    rejection = observed.pod_rejection
    if rejection is not None and num_held:
        yield "", _uncreated("server", rejection.message, num_held, None)


def _creator_component(ref: ObjectRef) -> Component:
    """Return what the pods of a Deployment or Job of ours are pods of."""
    if ref.kind == "Job":
        return "preload"
    return "batches" if ref.name == names.batches(ref.deployment) else "router"


def _component(name: str) -> Component:
    return next((one for one in COMPONENTS if one == name), "server")


def _uncreated(component: Component, message: str, num_pods: int, since: str | None) -> Failure:
    cause = creation_errors.classify(message)
    short = failures.shortened(creation_errors.shorten(message))
    return Failure(cause, short, causes.hint(cause, component), since, component, num_pods)
