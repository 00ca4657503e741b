"""What kube-score calls critical in manifests, as far as it applies to ours.

https://github.com/zegl/kube-score/blob/master/README_CHECKS.md. A finding is "OBJECT: what is
missing". Pure.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Manifest = Mapping[str, Any]

LABEL_VALUE = re.compile(r"(|[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)")
MIN_USER_ID = 10_000
"""A smaller id may be that of a user of the node."""
LIMITED = ("memory", "ephemeral-storage")
"""Resources that need a limit. One of the CPU would delay health checks, and kube-score's own
option --ignore-container-cpu-limit leaves it out."""
REQUESTED = ("cpu", "memory")
"""Resources that need a request. Of ephemeral storage it is 0 by intention: not every node states
how much it has, and a pod that requests any could never be scheduled there."""


def findings(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Yield what is critical in manifests that are installed together."""
    for manifest in manifests:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        for finding in _findings(manifest, manifests):
            yield f"{name}: {finding}"


def _findings(manifest: Manifest, all_of_them: Sequence[Manifest]) -> Iterator[str]:
    yield from _labels(manifest["metadata"])
    if pod := pod_of(manifest):
        yield from _pod(pod)
        yield from _policies(manifest, pod, all_of_them)
    if manifest["kind"] == "Deployment":
        yield from _deployment(manifest, all_of_them)
    if manifest["kind"] == "PodDisruptionBudget":
        if not {"minAvailable", "maxUnavailable"} & manifest["spec"].keys():
            yield "no limit"
        yield from _target(manifest["spec"]["selector"], manifest, all_of_them)
    if manifest["kind"] == "NetworkPolicy":
        yield from _target(manifest["spec"]["podSelector"], manifest, all_of_them)
    if manifest["kind"] == "Service":
        yield from _target({"matchLabels": manifest["spec"]["selector"]}, manifest, all_of_them)


def pod_of(manifest: Manifest) -> Manifest | None:
    """Return metadata and spec of the pod that an object is, or makes."""
    if manifest["kind"] == "Pod":
        return manifest
    template: Manifest | None = manifest.get("spec", {}).get("template")
    return template if template and "containers" in template.get("spec", {}) else None


def _labels(metadata: Manifest) -> Iterator[str]:
    for key, value in metadata.get("labels", {}).items():
        if not LABEL_VALUE.fullmatch(str(value)):
            yield f"the label {key} has the invalid value {value!r}"


def _pod(pod: Manifest) -> Iterator[str]:
    spec = pod["spec"]
    containers = [*spec["containers"], *spec.get("initContainers", ())]
    yield from _labels(pod["metadata"])
    for container in containers:
        for finding in (
            *_image(container),
            *_resources(container.get("resources", {})),
            *_security({**spec.get("securityContext", {}), **container["securityContext"]}),
            *_names(container),
        ):
            yield f"{container['name']}: {finding}"


def _image(container: Manifest) -> Iterator[str]:
    _, _, tag = container["image"].rpartition("/")[2].partition(":")
    if "@" not in container["image"] and tag in ("", "latest"):
        yield "the image has no tag"


def _resources(resources: Manifest) -> Iterator[str]:
    for kind, wanted in (("limits", LIMITED), ("requests", REQUESTED)):
        for one in wanted:
            if one not in resources.get(kind, {}):
                yield f"{kind} have no {one}"


def _security(context: Manifest) -> Iterator[str]:
    wanted = {
        "it is privileged": not context.get("privileged"),
        "it may escalate its privileges": context.get("allowPrivilegeEscalation") is False,
        "it keeps capabilities": context.get("capabilities", {}).get("drop") == ["ALL"],
        "the root filesystem is writable": context.get("readOnlyRootFilesystem"),
        "it has no seccomp profile": "seccompProfile" in context,
        "it may run as root": context.get("runAsNonRoot"),
    }
    yield from (finding for finding, is_fine in wanted.items() if not is_fine)
    for one in ("runAsUser", "runAsGroup"):
        if context.get(one, 0) < MIN_USER_ID:
            yield f"{one} may be one of the node"


def _names(container: Manifest) -> Iterator[str]:
    for field, of in (("env", "name"), ("ports", "name"), ("ports", "containerPort")):
        found = [one[of] for one in container.get(field, ()) if of in one]
        if len(found) > len(set(found)):
            yield f"{field} repeat a {of}"


def _policies(manifest: Manifest, pod: Manifest, all_of_them: Iterable[Manifest]) -> Iterator[str]:
    labels = pod["metadata"].get("labels", {})
    selectors = [
        one["spec"]["podSelector"]
        for one in all_of_them
        if one["kind"] == "NetworkPolicy" and "Ingress" in one["spec"]["policyTypes"]
    ]
    if manifest["kind"] != "Job" and not any(_selects(one, labels) for one in selectors):
        yield "no NetworkPolicy"


def _deployment(manifest: Manifest, all_of_them: Sequence[Manifest]) -> Iterator[str]:
    pod = manifest["spec"]["template"]
    labels = pod["metadata"]["labels"]
    budgets = [one for one in all_of_them if one["kind"] == "PodDisruptionBudget"]
    if not any(_selects(one["spec"]["selector"], labels) for one in budgets):
        yield "no PodDisruptionBudget"
    if not _selects(manifest["spec"]["selector"], labels):
        yield "it does not select its own pods"
    scalers = [one for one in all_of_them if one["kind"] == "HorizontalPodAutoscaler"]
    targets = [one["spec"]["scaleTargetRef"]["name"] for one in scalers]
    if manifest["metadata"]["name"] in targets and "replicas" in manifest["spec"]:
        yield "replicas are set, and an autoscaler sets them, too"
    for container in pod["spec"]["containers"]:
        if not {"readinessProbe", "livenessProbe"} <= container.keys():
            yield f"{container['name']}: no probes"
        elif container["readinessProbe"] == container["livenessProbe"]:
            yield f"{container['name']}: the probes are identical"


def _target(
    selector: Manifest, manifest: Manifest, all_of_them: Iterable[Manifest]
) -> Iterator[str]:
    pods = [pod_of(one) for one in all_of_them]
    if not any(pod and _selects(selector, pod["metadata"].get("labels", {})) for pod in pods):
        yield f"it selects no pod: {selector}"


def _selects(selector: Manifest, labels: Mapping[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items()
