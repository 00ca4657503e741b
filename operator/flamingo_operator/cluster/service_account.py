"""The namespace that the operator runs in, from the files of its pod's service account."""

from pathlib import Path

NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT = "flamingo-system"


def default_namespace(*, is_in_cluster: bool, file: Path = NAMESPACE_FILE) -> str:
    """Return the namespace of the pod, or the usual one of an operator outside of a cluster."""
    try:
        found = file.read_text(encoding="utf-8").strip() if is_in_cluster else ""
    except OSError:
        found = ""
    return found or DEFAULT
