"""Where pods may run: node selectors, tolerations, affinity and topology spread.

Pure.
"""

from collections.abc import Sequence
from typing import Any

from flamingo_operator.api import names, quantity
from flamingo_operator.api.gpu import Gpu
from flamingo_operator.api.names import Component
from flamingo_operator.api.pod import PodBlock
from flamingo_operator.api.spec import Spec
from flamingo_operator.manifests.common import Manifest

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
LOST_NODE_TOLERATION_S = 60
"""How long a pod stays bound to a node that is not ready or unreachable, after the 40 s until
Kubernetes notices that. The default of 300 s is too long, because every pod carries load."""
MEMORY_LABEL = "nvidia.com/gpu.memory"
"""Label of a node, set by NVIDIA's GPU feature discovery: the memory of one GPU in MiB."""
USABLE_PERCENT = 95
"""The label of a GPU is a little lower than the memory that its name states."""


def server_placement(spec: Spec) -> Manifest:
    """Return the fields that select the nodes of server pods, and of the preload Job."""
    server = spec.server
    return {
        "runtimeClassName": server.runtime_class_name,
        "nodeSelector": server.node_selector or None,
        "affinity": _server_affinity(spec),
        "tolerations": [
            *server.tolerations,
            *_gpu_tolerations(spec.gpu),
            *_lost_node_tolerations(),
        ],
    }


def spread_placement(deployment: str, component: Component, block: PodBlock) -> Manifest:
    """Return the fields that select the nodes of pods without a GPU, which prefer to be apart."""
    spread = {
        "weight": 100,
        "podAffinityTerm": {
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": names.selector(deployment, component)},
        },
    }
    return {
        "nodeSelector": block.node_selector or None,
        "tolerations": list(block.tolerations),
        "affinity": {"podAntiAffinity": {PREFERRED: [spread]}} | (block.affinity or {}),
    }


def spread_constraints(
    deployment: str, component: Component, block: PodBlock
) -> list[dict[str, Any]]:
    """Return the topology spread constraints, each with a selector of the component's pods."""
    of_component = {"labelSelector": {"matchLabels": names.selector(deployment, component)}}
    return [of_component | one for one in block.topology_spread_constraints]


def with_avoided_nodes(spec: Manifest, nodes: Sequence[str]) -> Manifest:
    """Return a pod's spec with node affinity that also excludes `nodes` by name."""
    if not nodes:
        return spec
    affinity = spec.get("affinity", {})
    of_nodes = affinity.get("nodeAffinity", {})
    # matchFields allows one value per requirement. Terms are alternatives, so each of them needs
    # the requirements.
    fields = [{"key": "metadata.name", "operator": "NotIn", "values": [one]} for one in nodes]
    terms = of_nodes.get(REQUIRED, {}).get("nodeSelectorTerms", [{}])
    required = {
        "nodeSelectorTerms": [
            {**term, "matchFields": [*term.get("matchFields", ()), *fields]} for term in terms
        ]
    }
    return {**spec, "affinity": {**affinity, "nodeAffinity": {**of_nodes, REQUIRED: required}}}


def _gpu_tolerations(gpu: Gpu) -> list[Manifest]:
    """Return tolerations of the taints that keep other pods away from nodes with a GPU."""
    if gpu.count == 0:
        return []
    # The key that Kubernetes' ExtendedResourceToleration uses, and that of NVIDIA's operator.
    keys = dict.fromkeys((names.GPU_TAINT, gpu.resource_name))
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def _lost_node_tolerations() -> list[Manifest]:
    return [
        {
            "key": f"node.kubernetes.io/{state}",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": LOST_NODE_TOLERATION_S,
        }
        for state in ("not-ready", "unreachable")
    ]


def _server_affinity(spec: Spec) -> Manifest | None:
    """Return the user's affinity, with that to the GPUs that the spec allows."""
    affinity: Manifest = dict(spec.server.affinity or {})
    of_nodes: Manifest = dict(affinity.get("nodeAffinity") or {})
    requirements, preferred = _gpu_requirements(spec.gpu), _preferred_products(spec.gpu)
    if requirements:
        # Terms are alternatives, so each of the user's needs the requirements too.
        terms = (of_nodes.get(REQUIRED) or {}).get("nodeSelectorTerms") or [{}]
        of_nodes[REQUIRED] = {
            "nodeSelectorTerms": [
                {**term, "matchExpressions": [*term.get("matchExpressions", ()), *requirements]}
                for term in terms
            ]
        }
        of_nodes[PREFERRED] = [*(of_nodes.get(PREFERRED) or ()), *preferred]
        affinity["nodeAffinity"] = of_nodes
    return affinity or None


def _gpu_requirements(gpu: Gpu) -> list[Manifest]:
    products, min_memory = gpu.products, gpu.min_memory
    requirements = [_expression(names.PRODUCT_LABEL, "In", list(products))] if products else []
    if min_memory is not None:
        least_mib = int(quantity.parse(min_memory) / 2**20 * USABLE_PERCENT / 100)
        requirements.append(_expression(_memory_label(gpu), "Gt", [str(least_mib)]))
    return requirements


def _memory_label(gpu: Gpu) -> str:
    """Return the label with the memory of what a server pod gets.

    On a node with slices of several sizes, that of the GPU is for the whole GPU.
    """
    is_slice = "/mig-" in gpu.resource_name and not gpu.resource_claims
    return f"{gpu.resource_name.removesuffix('.shared')}.memory" if is_slice else MEMORY_LABEL


def _preferred_products(gpu: Gpu) -> list[Manifest]:
    return [
        {
            "weight": 100 - index,
            "preference": {"matchExpressions": [_expression(names.PRODUCT_LABEL, "In", [product])]},
        }
        for index, product in enumerate(gpu.products[:-1])
    ]


def _expression(key: str, operator: str, values: list[str]) -> Manifest:
    return {"key": key, "operator": operator, "values": values}
