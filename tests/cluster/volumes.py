"""Volumes that are made by hand, since the node has no provisioner: folders of this machine."""

import os
from pathlib import Path
from typing import Any

from flamingo_operator.manifests.common import USER_ID

STORAGE_CLASS = "by-hand"
SIZE = "1Gi"


def volume(name: str, folder: Path, access_mode: str) -> dict[str, Any]:
    """Return the PersistentVolume of a folder, to which our containers may write from now on."""
    folder.chmod(0o770)
    os.chown(folder, USER_ID, USER_ID)
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": SIZE},
            "accessModes": [access_mode],
            "storageClassName": STORAGE_CLASS,
            "hostPath": {"path": str(folder), "type": "Directory"},
        },
    }
