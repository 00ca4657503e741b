"""What the operator would do, from the first action to the last, without doing it.

How it works. The operator's own `decide` runs again and again on a simulated cluster, until it
has nothing left to do: what it decides is done to the observed objects, then Kubernetes does its
part. So a forecast obeys every rule of a rollout, and there is no second description of them.
In the simulation every server pod finds a GPU and becomes ready, a drained pod is gone at once,
and the desired number of replicas stays what it is now. What the operator does when a pod
fails, or no GPU is free, is not in the forecast.

Pure.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from flamingo_operator.api import timestamps
from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster import observed
from flamingo_operator.cluster.actions import (
    Action,
    Apply,
    Delete,
    Drain,
    ExtendDrain,
    Repair,
    Undrain,
)
from flamingo_operator.cluster.observed import Load, ObjectRef, Observed, OwnedObject, Pod
from flamingo_operator.cluster.projection import digest_of_manifest
from flamingo_operator.decide import Decision, decide
from flamingo_operator.manifests.common import Manifest, Release
from flamingo_operator.rollout import node_avoidance
from flamingo_operator.scaling.replicas import DesiredReplicas

MIN_ROUNDS = 50
ROUNDS_PER_POD = 4
"""A rollout of one pod after the other takes two rounds for each."""
NODE = "forecast"


@dataclass(frozen=True, slots=True)
class GpuForecast:
    """How many GPUs the server pods request."""

    current: int = 0
    peak: int = 0
    """The most at any time from now on, without those of pods that are draining by then."""
    final: int = 0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the operator would do, in numbers and as a list."""

    num_replaced: int = 0
    num_created: int = 0
    """Without those that replace another."""
    num_removed: int = 0
    """Without those that are replaced."""
    gpus: GpuForecast = GpuForecast()
    actions: tuple[str, ...] = ()
    """In order. Drained pods are deleted, which is not listed."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.actions


@dataclass(slots=True)
class _Simulation:
    """A simulated cluster: one deployment's objects, as the operator observes them."""

    deployment: FlamingoDeployment
    observed: Observed
    now_s: float
    actions: list[str] = field(default_factory=list)
    num_applied: int = 0
    removed: set[str] = field(default_factory=set)
    """Names of pods that are gone when the round is over."""

    def do(self, decision: Decision) -> bool:
        """Do what was decided; return whether anything but the rollout's memory changed."""
        before = len(self.actions)
        for action in decision.actions:
            self._list(action)
            self._do(action)
        self.observed = replace(self.observed, avoided=decision.avoided_nodes, was_paused=False)
        return len(self.actions) > before

    def _list(self, action: Action) -> None:
        is_implied = isinstance(action, ExtendDrain) or (
            isinstance(action, Apply)
            and action.manifest["kind"] == "ControllerRevision"
            and not action.is_new
        )
        if not is_implied:
            self.actions.append(str(action))

    def _do(self, action: Action) -> None:
        match action:
            case Apply(manifest):
                self._apply(manifest)
            case Delete(ref) if ref.kind != "Pod":
                self._delete(ref)
            case Delete(ref):
                self.removed.add(ref.name)
            case Drain(pod):
                self.removed.add(pod.ref.name)
            case Undrain(pod):
                back = replace(pod, drain_started_s=None, drain_until_s=None, is_serving=True)
                self._put_pod(back)
            case Repair(pod, owner):
                ref = replace(pod.ref, owner_uid=str(owner["uid"]))
                self._put_pod(replace(pod, ref=ref, is_serving=not pod.is_draining))

    def _apply(self, manifest: Manifest) -> None:
        self.num_applied += 1
        metadata = {
            **manifest["metadata"],
            "uid": f"forecast-{self.num_applied}",
            "resourceVersion": "1",
            "creationTimestamp": timestamps.encode(self.now_s),
        }
        raw, kind = {**manifest, "metadata": metadata}, manifest["kind"]
        if kind == "Pod":
            self._put_pod(observed.parse_pod(raw))
        elif kind == "ControllerRevision":
            new = observed.parse_revision(raw)
            others = (one for one in self.observed.revisions if one.hash != new.hash)
            self.observed = replace(self.observed, revisions=(*others, new))
        else:
            ref, digest = observed.parse_ref(raw, kind), digest_of_manifest(manifest)
            made = OwnedObject(ref, digest, num_ready=1, is_complete=True)
            owned = {**self.observed.owned, (kind, ref.name): made}
            self.observed = replace(self.observed, owned=owned)

    def _delete(self, ref: ObjectRef) -> None:
        owned = {key: one for key, one in self.observed.owned.items() if one.ref != ref}
        revisions = tuple(one for one in self.observed.revisions if one.ref != ref)
        self.observed = replace(self.observed, owned=owned, revisions=revisions)

    def _put_pod(self, pod: Pod) -> None:
        others = (one for one in self.observed.pods if one.ref.name != pod.ref.name)
        self.observed = replace(self.observed, pods=(*others, pod))

    def end_round(self, requeue_at_s: float | None) -> None:
        """Let Kubernetes do its part, and time pass."""
        pods = (one for one in self.observed.pods if one.ref.name not in self.removed)
        pods = (self._started(one) for one in pods if not one.is_terminating)
        jobs = {key: replace(one, is_complete=True) for key, one in self.observed.owned.items()}
        self.observed = replace(self.observed, pods=tuple(pods), owned=jobs)
        self.removed.clear()
        self.now_s = max(self.now_s + 1.0, requeue_at_s or 0.0)

    def _started(self, pod: Pod) -> Pod:
        if pod.is_ready or pod.is_finished:
            return pod
        return replace(
            pod,
            is_ready=True,
            ready_since_s=self.now_s,
            scheduled_s=pod.scheduled_s or self.now_s,
            is_unschedulable=False,
            is_in_backoff=False,
            num_restarts=0,
            node=pod.node or NODE,
            diagnosis_json="",
        )


def forecast(
    deployment: FlamingoDeployment,
    current: Observed,
    release: Release,
    desired: DesiredReplicas,
    now_s: float,
) -> Forecast:
    """Return what the operator would do from now on, if spec.paused were false."""
    desired = replace(desired, requeue_at_s=None)
    simulation = _Simulation(deployment, _without_obstacles(current), now_s)
    gpus = [_num_gpus(simulation.observed)]
    for _ in range(MIN_ROUNDS + ROUNDS_PER_POD * (len(current.pods) + desired.num)):
        decision = decide(deployment, simulation.observed, release, desired, simulation.now_s)
        is_changed = simulation.do(decision)
        gpus.append(_num_gpus(simulation.observed))
        simulation.end_round(decision.requeue_at_s)
        if not is_changed and (decision.requeue_at_s is None or decision.step.is_complete):
            break
    after = simulation.observed
    known = {one.ref.name for one in current.pods}
    before, left = _active_names(current), _active_names(after)
    num_new, num_gone = len(left - known), len(before - left)
    num_replaced = min(num_new, num_gone)
    return Forecast(
        num_replaced,
        num_new - num_replaced,
        num_gone - num_replaced,
        GpuForecast(gpus[0], max(gpus), _num_gpus(after)),
        tuple(simulation.actions),
    )


def fingerprint(
    deployment: FlamingoDeployment, current: Observed, decision: Decision
) -> tuple[object, ...]:
    """Return what a forecast depends on: one of 500 pods takes seconds to make."""
    pods = tuple((one.ref.uid, one.is_active, one.is_finished) for one in current.pods)
    revisions = tuple((one.hash, one.number) for one in current.revisions)
    actions = tuple(map(str, decision.actions))
    return deployment.metadata.generation, decision.desired.num, pods, revisions, actions


def with_status(current: Observed, status: Mapping[str, Any]) -> Observed:
    """Return what was observed, with what only the last status knows."""
    avoided = node_avoidance.from_status(status)
    return replace(current, avoided=avoided, was_paused="plan" in status)


def _without_obstacles(current: Observed) -> Observed:
    """Return what was observed, without what keeps pods from coming or going."""
    loads = {name: Load(one.backlog_s, 0) for name, one in current.loads.items()}
    revisions = tuple(replace(one, blocked_s=None, blocked_by="") for one in current.revisions)
    return replace(current, loads=loads, revisions=revisions, pod_rejection=None)


def _active_names(observation: Observed) -> set[str]:
    return {one.ref.name for one in observation.pods if one.is_active}


def _num_gpus(observation: Observed) -> int:
    """Return how many GPUs the pods hold or wait for."""
    per_pod = {one.hash: _gpus_per_pod(one.inputs) for one in observation.revisions}
    pods = (one for one in observation.pods if not one.is_finished)
    return sum(per_pod.get(one.revision, 1) for one in pods)


@lru_cache(maxsize=256)
def _gpus_per_pod(inputs: str) -> int:
    found: Mapping[str, Any] = json.loads(inputs or "{}")
    return int(found.get("spec", {}).get("gpu", {}).get("count", 1))


def summary(found: Forecast) -> str:
    """Return a forecast in one line."""
    if found.is_empty:
        return "no changes"
    counts = (
        (found.num_replaced, "replaced"),
        (found.num_created, "created"),
        (found.num_removed, "removed"),
    )
    pods = [f"{num} server {'pod' if num == 1 else 'pods'} {what}" for num, what in counts if num]
    return f"{', '.join(pods) or 'no server pod is replaced'}; {_gpu_text(found.gpus)}"


def _gpu_text(gpus: GpuForecast) -> str:
    if gpus.current == gpus.peak == gpus.final:
        return f"GPUs: {gpus.current}, unchanged"
    return f"GPUs: {gpus.current} now, {gpus.peak} at the peak, {gpus.final} at the end"
