"""A simulated cluster: a scheduler, GPUs and kubelets, for tests of `decide`.

It changes objects as Kubernetes does, one move at a time, so a test can put the moves in
any order. What is tested is the real `decide`, through the real parsers.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from control_plane.deployments import deployment

from flamingo_operator.api import names, spec
from flamingo_operator.api.timestamps import encode
from flamingo_operator.cluster import observed
from flamingo_operator.cluster.actions import Apply, Delete, Drain, ExtendDrain, Repair, Undrain
from flamingo_operator.cluster.nodes import Node
from flamingo_operator.cluster.observed import Observed, Pod
from flamingo_operator.cluster.pod_rejection import CreationAttempt, PodRejection, next_rejection
from flamingo_operator.cluster.projection import digest_of_manifest
from flamingo_operator.cluster.rejections import Rejection, rejection_reason
from flamingo_operator.decide import decide
from flamingo_operator.forecast import forecast
from flamingo_operator.manifests import pod_template
from flamingo_operator.manifests.common import Release
from flamingo_operator.reporting import status
from flamingo_operator.reporting.status import StatusInputs
from flamingo_operator.rollout import node_avoidance
from flamingo_operator.scaling.autoscale import PodCounts
from flamingo_operator.scaling.replicas import DemandAndCapacity, ScalingState, desired_replicas

RELEASE = Release("pod:1", "router:1", "batches:1", "flamingo-system")
UID = "u-1"


@dataclass
class Cluster:
    """One FlamingoDeployment and its objects."""

    body: dict[str, Any]
    num_gpus: int = 100
    """Of each node."""
    places: tuple[str, ...] = ("node-1",)
    """The nodes' names."""
    quota: int | None = None
    """How many pods a quota allows."""
    denial: str = ""
    """With what message the creation of pods is refused whatever there is."""
    pod_rejection: PodRejection | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    """The nodes as the operator lists them; empty: it cannot."""
    now_s: float = 1_800_000_000.0
    release: Release = RELEASE
    pods: dict[str, Pod] = field(default_factory=dict)
    raw: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    owned: dict[tuple[str, str], observed.OwnedObject] = field(default_factory=dict)
    loads: dict[str, observed.Load] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    num_created: int = 0
    _parsed: tuple[dict[str, Any], spec.FlamingoDeployment] | None = None

    @classmethod
    def of(cls, given: dict[str, Any] | None = None, **kwargs: Any) -> "Cluster":
        body = deployment(given)
        body["metadata"] |= {"uid": UID, "generation": 1}
        return cls(body, **kwargs)

    def change(self, **fields: Any) -> None:
        """Write the spec."""
        self.body = {**self.body, "spec": {**self.body["spec"], **fields}}
        self.body["metadata"]["generation"] += 1

    @property
    def deployment(self) -> spec.FlamingoDeployment:
        if self._parsed is None or self._parsed[0] is not self.body:
            self._parsed = (self.body, spec.parse(self.body))
        return self._parsed[1]

    @property
    def observed(self) -> Observed:
        return Observed(
            pods=tuple(sorted(self.pods.values(), key=lambda pod: pod.ref.name)),
            revisions=tuple(
                sorted(
                    (
                        observed.parse_revision(raw)
                        for (kind, _), raw in self.raw.items()
                        if kind == "ControllerRevision"
                    ),
                    key=lambda one: one.number,
                )
            ),
            owned=self.owned,
            nodes=self.nodes,
            loads=self.loads,
            pod_rejection=self.pod_rejection,
            avoided=node_avoidance.from_status(self.status),
            was_paused="plan" in self.status,
        )

    @property
    def spec_hash(self) -> str:
        """The hash of the spec's revision, as this operator names it."""
        template = pod_template.build_template(self.deployment, self.release)
        return pod_template.template_hash(template)

    def decide(self):
        return decide(self.deployment, self.observed, self.release, self._desired(), self.now_s)

    def operate(self):
        """Reconcile once; return the decision."""
        decision = self.decide()
        rejections: list[Rejection] = []
        planned = None
        if self.deployment.spec.paused:
            planned = self.forecast()
        else:
            rejections = [one for action in decision.actions if (one := self._try(action))]
            self._remember(decision, rejections)
        inputs = StatusInputs(
            self.deployment, self.observed, decision, rejections, self.status, self.now_s, planned
        )
        self.status = status.build_status(inputs)
        return decision

    def _remember(self, decision, rejections) -> None:
        if decision.target is not None:
            attempt = CreationAttempt(
                revision=decision.target.revision.hash,
                rejections=rejections,
                num_held=decision.step.num_held,
                num_pods=len(self.pods),
                now_s=self.now_s,
            )
            self.pod_rejection = next_rejection(self.pod_rejection, attempt)

    def _try(self, action) -> Rejection | None:
        """Do an action, unless the API server refuses it."""
        message = self._rejection_of(action)
        if not message:
            self._do(action)
            return None
        name = action.manifest["metadata"]["name"]
        reason = rejection_reason(message)
        return Rejection(reason, f"{action}: {message}", message, "Pod", name, "server")

    def _rejection_of(self, action) -> str:
        if not (isinstance(action, Apply) and action.manifest["kind"] == "Pod"):
            return ""
        if self.quota is not None and len(self.pods) >= self.quota:
            return (
                f'pods "x" is forbidden: exceeded quota: gpus, requested: pods=1,'
                f" used: pods={len(self.pods)}, limited: pods={self.quota}"
            )
        return self.denial

    def forecast(self):
        """Return what the operator would do."""
        return forecast(self.deployment, self.observed, self.release, self._desired(), self.now_s)

    def _desired(self):
        return desired_replicas(
            self.deployment.spec, DemandAndCapacity(), ScalingState(), PodCounts(0), self.now_s
        )

    def _do(self, action) -> None:
        match action:
            case Apply(manifest):
                self._apply(manifest)
            case Drain(pod, started_s, until_s):
                marked = replace(pod, drain_started_s=started_s, drain_until_s=until_s)
                self.pods[pod.ref.name] = replace(marked, is_serving=False)
            case ExtendDrain(pod, until_s):
                self.pods[pod.ref.name] = replace(pod, drain_until_s=until_s)
            case Undrain(pod):
                back = replace(pod, drain_started_s=None, drain_until_s=None)
                self.pods[pod.ref.name] = replace(back, is_serving=True)
            case Repair(pod, owner):
                ref = replace(pod.ref, owner_uid=owner["uid"])
                self.pods[pod.ref.name] = replace(pod, ref=ref, is_serving=not pod.is_draining)
            case Delete(ref):
                self._delete(ref)

    def _apply(self, manifest) -> None:
        kind, name = manifest["kind"], manifest["metadata"]["name"]
        self.num_created += 1
        made = {"uid": f"{name}-{self.num_created}", "resourceVersion": str(self.num_created)}
        if kind == "Pod":
            assert name not in self.pods, "a pod was made twice"
            made["creationTimestamp"] = encode(self.now_s)
            self.pods[name] = observed.parse_pod(
                manifest | {"metadata": manifest["metadata"] | made}
            )
        elif kind == "ControllerRevision":
            self.raw[kind, name] = manifest | {"metadata": manifest["metadata"] | made}
        else:
            ref = observed.parse_ref(manifest | {"metadata": manifest["metadata"] | made}, kind)
            annotations = manifest["metadata"].get("annotations", {})
            self.owned[kind, name] = observed.OwnedObject(
                ref,
                digest_of_manifest(manifest),
                num_ready=2,
                template_digest=annotations.get(names.TEMPLATE_DIGEST, ""),
            )

    def _delete(self, ref) -> None:
        if ref.kind != "Pod":
            self.raw.pop((ref.kind, ref.name), None)
            self.owned.pop((ref.kind, ref.name), None)
        elif self.pods[ref.name].node:
            self.pods[ref.name] = replace(self.pods[ref.name], is_terminating=True, is_ready=False)
        else:
            del self.pods[ref.name]

    # What Kubernetes does.

    def schedule(self) -> None:
        """Schedule the pods that fit, in order of creation; mark the others unschedulable."""
        for pod in sorted(self.pods.values(), key=lambda pod: (pod.created_s, pod.ref.name)):
            if pod.node or pod.is_finished:
                continue
            node = next((one for one in self.places if self._takes(one, pod)), "")
            if node:
                placed = replace(pod, node=node, scheduled_s=self.now_s, is_unschedulable=False)
                self.pods[pod.ref.name] = placed
            else:
                self.pods[pod.ref.name] = replace(pod, is_unschedulable=True)

    def _takes(self, node: str, pod: Pod) -> bool:
        num_there = sum(one.node == node for one in self.pods.values())
        return num_there < self.num_gpus and node not in pod.avoided_nodes

    def fault(self, *names: str, num_restarts: int = 2) -> None:
        """Let pods exit with a GPU fault, and be restarted so often."""
        ended = {"terminated": {"exitCode": 10, "message": "Xid 79"}}
        container = {"name": "server", "state": {"running": {}}, "lastState": ended}
        container["restartCount"] = num_restarts
        status = {"phase": "Running", "containerStatuses": [container]}
        for name in names:
            self.pods[name] = replace(
                self.pods[name],
                is_ready=False,
                has_lost_readiness=True,
                num_restarts=num_restarts,
                diagnosis_json=json.dumps({"metadata": {}, "status": status}),
            )

    def request_drain(self, name: str) -> None:
        """Annotate a pod as users do, so that it is drained and replaced."""
        self.pods[name] = replace(self.pods[name], is_drain_requested=True)

    def damage(self) -> None:
        """Let the first pod fail, and take the owner from the last."""
        first, *_, last = sorted(self.pods)
        self.pods[first] = replace(self.pods[first], is_finished=True, is_ready=False)
        ref = replace(self.pods[last].ref, owner_uid="")
        self.pods[last] = replace(self.pods[last], ref=ref)

    def load(self, revisions: set[str] | None = None) -> None:
        """Let scheduled pods become ready; only those of `revisions`, if given."""
        for name, pod in self.pods.items():
            is_good = revisions is None or pod.revision in revisions
            if is_good and pod.node and not (pod.is_ready or pod.is_terminating or pod.is_finished):
                ready = replace(pod, is_ready=True, has_lost_readiness=False, diagnosis_json="")
                self.pods[name] = replace(ready, ready_since_s=self.now_s)

    def end(self) -> None:
        """Delete the pods that are terminating."""
        self.pods = {name: pod for name, pod in self.pods.items() if not pod.is_terminating}

    def wait(self, seconds: float) -> None:
        self.now_s += seconds

    def live(self, num_rounds: int = 40, revisions: set[str] | None = None) -> None:
        """Let the operator and Kubernetes act in turns."""
        for _ in range(num_rounds):
            self.operate()
            self.schedule()
            self.load(revisions)
            self.end()
            self.wait(60)

    @property
    def ready(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.is_active and pod.is_ready]

    def reason(self, kind: str) -> str:
        return next(one["reason"] for one in self.status["conditions"] if one["type"] == kind)

    @property
    def hashes(self) -> list[str]:
        return sorted({pod.revision for pod in self.pods.values()})
