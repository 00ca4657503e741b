"""`podTemplate`: what a user merges into the pods of a block, and what they must not change.

It has the schema of a PodTemplateSpec. Refused is what the operator and the routers rely on: the
container's program and how it is probed and stopped, its port, its own variables and volumes,
labels and annotations with our prefixes, and what would replace, not extend, what the operator
sets and the block has a field for.

Pure.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flamingo_operator.api import names, pod_schema
from flamingo_operator.api.core_field import CoreField
from flamingo_operator.api.pod_schema import RULES_KEY, Schema
from flamingo_operator.api.rules import Rule

Json = Mapping[str, Any]

PORT, PORT_NAME = 8000, "http"
"""What server pods and routers listen on."""
FIXED = (
    "activeDeadlineSeconds",
    "hostNetwork",
    "nodeName",
    "restartPolicy",
    "terminationGracePeriodSeconds",
)
"""Fields of a pod that only the operator sets."""
OWN_FIELDS = ("affinity", "serviceAccountName", "tolerations", "topologySpreadConstraints")
"""Fields of a pod that are to be set in the block, where they extend what the operator sets."""
FIXED_IN_CONTAINER = (
    "args",
    "command",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
)
REPLACEABLE = ("scratch", "spool")
"""Our volumes of which a user may choose another kind."""
GPU = "nvidia.com/gpu"
"""For another gpu.resourceName there is a rule of the whole spec."""
_UNJUDGED = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


@dataclass(frozen=True)
class Contract:
    """What the operator and the routers rely on in the pods of a block."""

    block: str
    """Also the name of the container."""
    mounts: Mapping[str, str]
    """Our volumes, and their paths."""
    variables: tuple[str, ...] = ()
    """Besides FLAMINGO_*."""
    needs_token: bool = False
    """Whether the container calls the API server."""


@dataclass(frozen=True)
class PodTemplateField(CoreField):
    """The field `podTemplate` of a block."""

    contract: Contract = Contract("", {})

    @property
    def node(self) -> Schema:
        """The schema."""
        return {
            "type": "object",
            "properties": {"metadata": _metadata(), "spec": _spec(self.contract)},
        }


def _metadata() -> Schema:
    meta = pod_schema.definition("ObjectMeta")
    rules = tuple(_no_reserved_keys(field) for field in ("labels", "annotations"))
    return {**meta, "description": "metadata has labels and annotations.", RULES_KEY: rules}


def _no_reserved_keys(field: str) -> Rule:
    ours = names.RESERVED_PREFIXES
    starts = " || ".join(f"k.startsWith('{prefix}')" for prefix in ours)
    return Rule(
        cel=f"!has(self.{field}) || !self.{field}.exists(k, {starts})",
        message=f"{field} must not contain {' or '.join(f'{prefix}*' for prefix in ours)}, which"
        " the operator sets: remove them",
        holds=lambda self: not any(key.startswith(ours) for key in self.get(field, ())),
    )


def _spec(contract: Contract) -> Schema:
    spec = pod_schema.definition("PodSpec")
    fields = {
        name: _refused(node, name) if name in (*OWN_FIELDS, *FIXED) else node
        for name, node in spec["properties"].items()
    }
    fields["initContainers"] = _without_probes(fields["initContainers"])
    return {
        **spec,
        "description": "spec is merged into the pods' spec by the merge keys of core/v1.",
        "required": [],
        "properties": fields,
        RULES_KEY: _rules(contract),
    }


def _without_probes(node: Schema) -> Schema:
    """Return the schema of a list of containers that seldom have probes, which are not judged."""
    container = pod_schema.definition("Container")
    unjudged = {name: {"$ref": "Unjudged"} for name in ("livenessProbe", "readinessProbe")}
    items = {**container, "properties": {**container["properties"], **unjudged}}
    return {**node, "items": items}


def _refused(node: Schema, name: str) -> Schema:
    """Return a short schema of a field that is refused by a rule."""
    shape = dict(_UNJUDGED) if "$ref" in node else {"type": node["type"]}
    if shape["type"] == "array":
        shape["items"] = _UNJUDGED
    return {**shape, "description": f"{name} is refused here."}


def _rules(contract: Contract) -> tuple[Rule, ...]:
    block = contract.block
    volumes = [name for name in contract.mounts if name not in REPLACEABLE]
    return (
        _none_of(FIXED, f"which the operator sets: use {block} and spec.drain"),
        _none_of(OWN_FIELDS, f"which would replace the operator's: use those of {block}"),
        *([_TOKEN] if contract.needs_token else []),
        *_program_rules(block),
        _of_containers(
            f"c, !has(c.ports) || c.ports.all(p, p.containerPort != {PORT}"
            f" && (!has(p.name) || p.name != '{PORT_NAME}'))",
            f"ports must not contain {PORT} or the name {PORT_NAME}, which are the"
            f" {block} container's: choose another port and name",
            lambda one: (
                not any(
                    port["containerPort"] == PORT or port.get("name") == PORT_NAME
                    for port in one.get("ports", ())
                )
            ),
        ),
        *_container_rules(contract),
        Rule(
            cel=f"!has(self.volumes) || !self.volumes.exists(v, v.name in {volumes})",
            message=f"volumes must not contain {', '.join(volumes)}, which the operator adds:"
            " choose another name",
            field_path=".volumes",
            holds=lambda self: not any(one["name"] in volumes for one in self.get("volumes", ())),
        ),
    )


_TOKEN = Rule(
    cel="!has(self.automountServiceAccountToken) || self.automountServiceAccountToken",
    message="automountServiceAccountToken must not be false, because routers read the addresses of"
    " server pods from the API server: remove it",
    holds=lambda self: self.get("automountServiceAccountToken", True),
)


def _none_of(fields: Iterable[str], why: str) -> Rule:
    fields = tuple(fields)
    return Rule(
        cel=f"!({' || '.join(f'has(self.{field})' for field in fields)})",
        message=f"must not contain {', '.join(fields)}, {why}",
        holds=lambda self: not any(field in self for field in fields),
    )


def _of_containers(
    cel: str, message: str, holds: Callable[[Json], bool], lists: tuple[str, ...] = ()
) -> Rule:
    """Return a rule that holds for each container; `cel` is an argument of `all`."""
    lists = lists or ("containers", "initContainers")
    return Rule(
        cel=" && ".join(f"(!has(self.{one}) || self.{one}.all({cel}))" for one in lists),
        message=message,
        field_path=f".{lists[0]}",
        holds=lambda self: all(holds(item) for one in lists for item in self.get(one, ())),
    )


def _program_rules(block: str) -> tuple[Rule, ...]:
    listed = " || ".join(f"has(c.{field})" for field in FIXED_IN_CONTAINER)
    reserved = [*dict.fromkeys(["server", "router", "preload", block])]
    return (
        _of_containers(
            f"c, c.name != '{block}' || !({listed})",
            f"the container {block} must not have {', '.join(FIXED_IN_CONTAINER)} here: use"
            f" {block}.image, {block}.imagePullPolicy and {block}.args",
            lambda one: one["name"] != block or not set(FIXED_IN_CONTAINER) & one.keys(),
            ("containers",),
        ),
        _of_containers(
            f"c, c.name == '{block}' || has(c.image)",
            f"each container other than {block} needs an image: add it, or correct the name to"
            f" {block}",
            lambda one: one["name"] == block or "image" in one,
            ("containers",),
        ),
        _of_containers(
            f"c, !(c.name in {reserved}) && has(c.image)",
            f"each init container needs an image and a name other than {', '.join(reserved)}",
            lambda one: one["name"] not in reserved and "image" in one,
            ("initContainers",),
        ),
    )


def _container_rules(contract: Contract) -> tuple[Rule, ...]:
    """Return the rules of what a user may add to our own container."""
    block, variables = contract.block, list(contract.variables)
    paths = f"^({'|'.join(contract.mounts.values())})/*$"
    named = f", {', '.join(variables)}" if variables else ""
    return (
        _of_containers(
            f"c, c.name != '{block}' || !has(c.env) || !c.env.exists(e,"
            f" e.name.startsWith('FLAMINGO_') || e.name in {variables})",
            f"env of the container {block} must not contain FLAMINGO_*{named}, which the operator"
            f" sets: use {block}.args and the fields of the spec",
            lambda one: (
                one["name"] != block
                or not any(
                    var["name"].startswith("FLAMINGO_") or var["name"] in variables
                    for var in one.get("env", ())
                )
            ),
            ("containers",),
        ),
        _of_containers(
            f"c, c.name != '{block}' || !has(c.volumeMounts)"
            f" || !c.volumeMounts.exists(m, m.mountPath.matches('{paths}'))",
            f"the container {block} must not mount {', '.join(contract.mounts.values())}, where the"
            " operator mounts volumes: choose another mountPath",
            lambda one: (
                one["name"] != block
                or not any(re.search(paths, m["mountPath"]) for m in one.get("volumeMounts", ()))
            ),
            ("containers",),
        ),
        _of_containers(
            f"c, !has(c.resources) || (c.name != '{block}' || !has(c.resources.claims))"
            f" && (!has(c.resources.requests) || !('{GPU}' in c.resources.requests))"
            f" && (!has(c.resources.limits) || !('{GPU}' in c.resources.limits))",
            "resources must not contain a GPU or claims: spec.gpu requests the GPU",
            lambda one: not _has_gpu(one, block),
        ),
    )


def requests(overlay: Json | None, resource: str) -> bool:
    """Whether a container of an overlay requests a resource."""
    containers = (overlay or {}).get("spec", {}).get("containers", ())
    return any(
        resource in one.get("resources", {}).get(kind, ())
        for one in containers
        for kind in ("requests", "limits")
    )


def _has_gpu(container: Json, block: str) -> bool:
    resources = container.get("resources", {})
    has_claims = container["name"] == block and "claims" in resources
    return has_claims or any(GPU in resources.get(kind, ()) for kind in ("requests", "limits"))
