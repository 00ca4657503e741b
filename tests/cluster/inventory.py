"""All objects of a cluster, of every kind that it can list."""

from cluster.nodes import Cluster

Inventory = frozenset[tuple[str, str, str]]
"""Kind, namespace and name of each object."""
COLUMNS = "KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name"
CLUSTER_WIDE = "<none>"
PASSING = {"Event", "PodMetrics", "NodeMetrics"}
"""What says what happened goes by itself."""


def take(cluster: Cluster) -> Inventory:
    """Return what there is now."""
    kinds = cluster.output("api-resources", "--verbs=list", "--output=name").split()
    listed = ("get", ",".join(kinds), "--all-namespaces", "--no-headers")
    rows = cluster.output(*listed, "--output", f"custom-columns={COLUMNS}").splitlines()
    found = {(kind, namespace, name) for kind, namespace, name in map(str.split, rows)}
    return frozenset(one for one in found if one[0] not in PASSING)
