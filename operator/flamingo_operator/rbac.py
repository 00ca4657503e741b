"""What the operator may do, and the file that says it.

    python -m flamingo_operator.rbac [FILE]     default: operator/rbac.yaml

The rules follow from what the code touches: `kinds` names the objects, `watch`
and `apply` the verbs. The chart binds them, for the cluster or for namespaces.
Run in the repository after a change; a test compares, and the operator's tests
run under these rules and no others.
"""

from pathlib import Path
from typing import Any

import yaml

from flamingo_operator import generated
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.manifests import router

FILE = Path("operator/rbac.yaml")
HEADER = "# Made by python -m flamingo_operator.rbac from operator/flamingo_operator/rbac.py.\n"
FOLLOW = ["get", "list", "watch"]
OWN = [*FOLLOW, "create", "patch", "delete"]
KEPT = "PersistentVolumeClaim"
"""Its objects hold what cannot be made again; we may not even delete them."""

Rule = dict[str, Any]


def rules() -> list[Rule]:
    """Return what is done in the namespaces that are looked after."""
    resource = kinds.RESOURCE
    return [
        _rule(resource, FOLLOW),
        # Apply-patches of the status; owner references that block a deletion need the second.
        _rule(resource, ["patch"], "/status"),
        _rule(resource, ["update"], "/finalizers"),
        _rule(kinds.POD, OWN),
        *(_rule(kind, _verbs(kind)) for kind in kinds.OWNED_KINDS),
        _rule(kinds.POD_MONITOR, OWN),
        _rule(kinds.EVENT, ["create"]),
        # Nobody may give away what he has not: routers get these from us.
        *router.RULES,
    ]


def _verbs(kind: Kind) -> list[str]:
    return [verb for verb in OWN if kind.name != KEPT or verb != "delete"]


def cluster_rules() -> list[Rule]:
    """Return what is asked beyond any namespace, where the whole cluster is looked after."""
    return [_rule(kinds.NODE, FOLLOW)]


def own_rules() -> list[Rule]:
    """Return what is done in the operator's own namespace."""
    return [_rule(kinds.LEASE, ["get", "create", "update"])]


def _rule(kind: Kind, verbs: list[str], part: str = "") -> Rule:
    return {"apiGroups": [kind.group], "resources": [kind.plural + part], "verbs": list(verbs)}


def text() -> str:
    """Return the rules as YAML, the same each time."""
    said = {
        "namespaceRules": rules(),
        "clusterRules": cluster_rules(),
        "ownNamespaceRules": own_rules(),
    }
    return HEADER + yaml.safe_dump(said, sort_keys=False, width=100)


if __name__ == "__main__":
    raise SystemExit(generated.write_file(FILE, text()))
