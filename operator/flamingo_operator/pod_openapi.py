"""Reduce an API server's OpenAPI document to the schemas of what is copied into pods.

    kubectl get --raw /openapi/v3/api/v1 | python -m flamingo_operator.pod_openapi [FILE]
                                            default: operator/flamingo_operator/api/pod_schema.json

The CRD embeds these schemas in several places and must stay small enough for
`kubectl apply`, which stores a copy of it in an annotation of 256 KiB. So what no pod of
a fleet can use is left out, alpha fields too, and of each description the first sentence
is kept. Run it with the OpenAPI document of a newer Kubernetes to take over new fields.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flamingo_operator import generated

FILE = Path("operator/flamingo_operator/api/pod_schema.json")
PREFIX = "io.k8s.api.core.v1."
ROOTS = ("PodSpec", "ResourceRequirements")
LEFT_OUT = {
    # Set by the API server, by admission or for debugging, deprecated, or for Windows.
    "PodSpec": {
        "ephemeralContainers",
        "evictionResponders",
        "hostnameOverride",
        "os",
        "overhead",
        "priority",
        "schedulingGroup",
        "serviceAccount",
    },
    "LifecycleHandler": {"tcpSocket"},
    # For terminals, and for raw block devices.
    "Container": {
        "resizePolicy",
        "restartPolicyRules",
        "stdin",
        "stdinOnce",
        "tty",
        "volumeDevices",
    },
    "PodSecurityContext": {"windowsOptions"},
    "SecurityContext": {"windowsOptions"},
    "VolumeProjection": {"podCertificate"},
    # Alpha or beta, and said otherwise than by "(Alpha)".
    "EmptyDirVolumeSource": {"mode"},
    "EnvVarSource": {"fileKeyRef"},
    "GRPCAction": {"mode"},
    "HTTPGetAction": {"host", "protocol"},
    "TCPSocketAction": {"host"},
    "VolumeMount": {"bindMountOptions"},
    "PersistentVolumeClaimSpec": {
        "dataSource",
        "dataSourceRef",
        "selector",
        "volumeAttributesClassName",
        "volumeMode",
        "volumeName",
    },
    "VolumeResourceRequirements": {"limits"},
    # Deprecated, or replaced by CSI drivers.
    "Volume": {
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "gitRepo",
        "glusterfs",
        "iscsi",
        "photonPersistentDisk",
        "portworxVolume",
        "quobyte",
        "rbd",
        "scaleIO",
        "storageos",
        "vsphereVolume",
    },
    "ObjectMeta": {
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    },
}
_PREFERRED = "The scheduler prefers nodes that satisfy these terms, by the sum of their weights."
_REQUIRED = "A pod is only scheduled onto a node that satisfies these terms."
_ITEMS = "items selects the entries that become files, and their paths; without it, all do."
DESCRIPTIONS = {
    "CSIVolumeSource.nodePublishSecretRef": "Secret that is passed to the CSI driver.",
    "ConfigMapProjection.items": _ITEMS,
    "ConfigMapVolumeSource.items": _ITEMS,
    "DownwardAPIVolumeFile.resourceFieldRef": "Selects a request or limit of a container.",
    "EnvVar.value": "Value of the variable; $(NAME) stands for a variable defined before.",
    "EnvVarSource.fieldRef": "Selects a field of the pod, such as spec.nodeName.",
    "EnvVarSource.resourceFieldRef": "Selects a request or limit of a container.",
    "GRPCAction.service": "Name of the service in the health check request.",
    "HostPathVolumeSource.type": "Kind of the path that must exist, or be created.",
    "Lifecycle.preStop": "preStop is called before the container is terminated.",
    "NodeAffinity.preferredDuringSchedulingIgnoredDuringExecution": _PREFERRED,
    "NodeAffinity.requiredDuringSchedulingIgnoredDuringExecution": _REQUIRED,
    "PodAffinity.preferredDuringSchedulingIgnoredDuringExecution": _PREFERRED,
    "PodAffinity.requiredDuringSchedulingIgnoredDuringExecution": _REQUIRED,
    "PodAffinityTerm.topologyKey": "Node label; nodes with equal values are one domain.",
    "PodAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution": _PREFERRED,
    "PodAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution": _REQUIRED,
    "SecretProjection.items": _ITEMS,
    "SecretVolumeSource.items": _ITEMS,
    "Toleration.tolerationSeconds": "How long a taint with the effect NoExecute is tolerated.",
}
"""For fields whose first sentence says little in many words."""
COPIED_KEYS = ("type", "format", "enum", "required")
MAX_CHOICES = 20
"""The signals are more."""
EXTENSIONS = ("list-type", "list-map-keys", "map-type", "patch-merge-key", "patch-strategy")
SCALARS = {
    "Quantity": {"x-kubernetes-int-or-string": True},
    "IntOrString": {"x-kubernetes-int-or-string": True},
}

Schema = dict[str, Any]


def reduce_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schemas of `ROOTS` and of all that they refer to, by name, and their source."""
    definitions = document["components"]["schemas"]
    by_short_name = {name.rpartition(".")[2]: name for name in definitions if _is_used(name)}
    schemas: dict[str, Schema] = {}
    missing = list(ROOTS)
    while missing:
        name = missing.pop()
        if name not in schemas:
            schemas[name] = SCALARS.get(name) or _definition(name, definitions[by_short_name[name]])
            missing += _references(schemas[name])
    return {
        "source": f"Kubernetes {document['info']['version']}, /openapi/v3/api/v1",
        "schemas": dict(sorted(schemas.items())),
    }


def _is_used(name: str) -> bool:
    return name.startswith((PREFIX, "io.k8s.apimachinery."))


def _definition(name: str, source: Mapping[str, Any]) -> Schema:
    left_out = LEFT_OUT.get(name, set())
    properties = {
        field: _node(schema)
        for field, schema in source.get("properties", {}).items()
        if field not in left_out and "(Alpha)" not in schema.get("description", "")
    }
    for field, node in properties.items():
        text: str = DESCRIPTIONS.get(f"{name}.{field}") or node.get("description", "")
        if text.lower().startswith(f"{field.lower()} "):
            text = field + text[len(field) :]
        node["description"] = text
        if len(node.get("enum", ())) > MAX_CHOICES:
            del node["enum"]
    return {**_node(source), **({"properties": properties} if properties else {})}


def _node(source: Mapping[str, Any]) -> Schema:
    """Return one node, without its properties."""
    reference = source.get("$ref") or next((one["$ref"] for one in source.get("allOf", ())), None)
    node: Schema = {"description": first_sentence(source.get("description", ""))}
    if reference:
        return {**node, "$ref": reference.rpartition(".")[2]}
    node |= {key: source[key] for key in COPIED_KEYS if key in source}
    for extension in EXTENSIONS:
        if f"x-kubernetes-{extension}" in source:
            node[f"x-kubernetes-{extension}"] = source[f"x-kubernetes-{extension}"]
    if source.get("default") and "enum" in source:
        node["default"] = source["default"]
    for key in ("items", "additionalProperties"):
        if key in source:
            node[key] = _without_description(_node(source[key]))
    return node if node["description"] else _without_description(node)


def _without_description(node: Schema) -> Schema:
    return {key: value for key, value in node.items() if key != "description"}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)


def first_sentence(text: str) -> str:
    """Return the first sentence of a description, without links and without "Optional:"."""
    text = re.split(r"\n *(?:\n|- )| - |Possible enum values:|More info: ", text, maxsplit=1)[0]
    text = " ".join(text.split())
    text = re.sub(r"^(\w+ is )?(Optional|Required)[:.] ", r"\1", text)
    sentence = re.split(r"(?<!e\.g)(?<!i\.e)(?<!etc)\.(?= [A-Z\"'(]|$)", text, maxsplit=1)[0]
    return f"{sentence}." if sentence else ""


def main() -> int:
    """Write the reduced schemas of the document on standard input; return the exit status."""
    reduced = reduce_document(json.load(sys.stdin))
    return generated.write_file(FILE, json.dumps(reduced, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
