"""The operator and a fleet as they are installed: by their charts, which nothing else replaces."""

from pathlib import Path
from typing import Any

from cluster.nodes import Cluster

ROOT = Path(__file__).parents[2]
OPERATOR, FLEET = str(ROOT / "helm/flamingo-operator"), str(ROOT / "helm/flamingo")
HOME = "flamingo-system"
NAME = "flamingo-operator"
WAIT = ("--wait", "--timeout=5m")
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"


def upgrade_operator(cluster: Cluster, values: dict[str, Any]) -> None:
    """Change these values of the operator's release, and return when it is rolled out."""
    what = ("upgrade", NAME, OPERATOR, "--namespace", HOME, "--reuse-values", *WAIT)
    cluster.helm(*what, "--values=-", body=values)


def upgrade_fleet(cluster: Cluster, release: str, namespace: str, values: dict[str, Any]) -> None:
    """Give the release of a fleet these values, and return when it is complete."""
    what = ("upgrade", release, FLEET, "--namespace", namespace, *WAIT)
    cluster.helm(*what, "--values=-", body=values)


def rollback(cluster: Cluster, release: str, namespace: str, *revision: str) -> None:
    """Return a release to a revision, the one before if none is given."""
    cluster.helm("rollback", release, *revision, "--namespace", namespace, *WAIT)


def make_namespace(cluster: Cluster, name: str) -> None:
    """Make a namespace that lets only safe pods in."""
    cluster.output("create", "namespace", name)
    restrict(cluster, name)


def restrict(cluster: Cluster, name: str) -> None:
    """Let a namespace take only safe pods, and complain if it has others already."""
    warnings = cluster.call("label", "namespace", name, RESTRICTED)
    assert warnings.returncode == 0, warnings.stderr
    assert "violate" not in warnings.stderr, warnings.stderr
