"""Nodes, reduced to what decisions need, and nodes that are avoided.

Pure.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_operator.api import names

Json = Mapping[str, Any]

DRAIN_TAINTS = frozenset({"karpenter.sh/disrupted", "ToBeDeletedByClusterAutoscaler"})
"""Taints of nodes that an autoscaler is about to remove."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node."""

    name: str
    is_cordoned: bool = False
    is_ready: bool = True
    product: str = ""
    """The product of its GPUs, by label."""
    resources: tuple[str, ...] = ()
    """The names of its extended resources."""
    boot_id: str = ""
    """Changes with each boot."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def as_object(self) -> Json:
        """What the diagnosis reads of a node, in the form of the API."""
        ready = {"type": "Ready", "status": "True" if self.is_ready else "False"}
        return {"metadata": {"name": self.name}, "status": {"conditions": [ready]}}


@dataclass(frozen=True, slots=True)
class AvoidedNode:
    """A node that no more server pods of a FlamingoDeployment are placed on."""

    node: str
    reason: str
    message: str
    since_s: float
    boot_id: str = ""
    """The node's boot ID at that time; empty if the operator has no access to nodes."""


def parse_node(raw: Json) -> Node:
    """Return a node."""
    conditions = {one["type"]: one["status"] for one in raw["status"].get("conditions", ())}
    labels = raw["metadata"].get("labels", {})
    taints = {one["key"] for one in raw["spec"].get("taints", ())}
    return Node(
        name=raw["metadata"]["name"],
        is_cordoned=raw["spec"].get("unschedulable", False) or bool(taints & DRAIN_TAINTS),
        is_ready=conditions.get("Ready") == "True",
        product=sys.intern(labels.get(names.PRODUCT_LABEL, "")),
        resources=tuple(sorted(name for name in raw["status"].get("capacity", ()) if "/" in name)),
        boot_id=raw["status"].get("nodeInfo", {}).get("bootID", ""),
        labels={sys.intern(key): sys.intern(value) for key, value in labels.items()},
    )
