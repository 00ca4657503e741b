"""The access of a service account to a cluster, in the files that a router reads."""

import json
from pathlib import Path

from control_plane.api_reads import authority
from control_plane.kubectl import Cluster

from flamingo_router.pods import kube


def account_access(cluster: Cluster, folder: Path, namespace: str, account: str) -> kube.Access:
    """Return the access of an account; its files are in `folder`."""
    token = cluster.output("-n", namespace, "create", "token", account)
    (folder / "token").write_text(token)
    config = json.loads(cluster.output("config", "view", "--raw", "--flatten", "-o", "json"))
    server = config["clusters"][0]["cluster"]
    (folder / "ca.crt").write_text(authority(server))
    return kube.Access(server["server"], folder / "token", folder / "ca.crt")
