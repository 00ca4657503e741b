"""API keys in containers: files from Secrets, which Kubernetes updates in place.

Pure.
"""

from typing import Any

from flamingo_operator.api.auth import Auth, BatchesKey, KeyFile, ObserveKey

FOLDER = "/keys"
KEY_FILE = "keys.yaml"
OBSERVE_KEY = "observe-key"
BATCHES_KEY = "batches-key"
MODE = 0o440
"""Readable by the pod's group only."""


def server_flags(auth: Auth | None) -> list[str]:
    """Return the flags of a server pod for its key file."""
    return [f"--key-file={FOLDER}/{KEY_FILE}"] if auth else []


def router_flags(auth: Auth | None, service: str) -> list[str]:
    """Return the flags of a router for its keys, whose limits the pods of `service` share.

    The share is not a number, because an autoscaler may change the number of routers.
    """
    if auth is None:
        return []
    return [
        *server_flags(auth),
        f"--pod-key-file={FOLDER}/{OBSERVE_KEY}",
        f"--quota-peers={service}",
    ]


def batches_flags(auth: Auth | None) -> list[str]:
    """Return the flags of batches: the key file of the fleet, and the key for its routers."""
    if auth is None:
        return []
    return [*server_flags(auth), f"--server-key-file={FOLDER}/{BATCHES_KEY}"]


def mounts(auth: Auth | None) -> list[dict[str, Any]]:
    """Return the mounts of the key files."""
    return [{"name": "keys", "mountPath": FOLDER, "readOnly": True}] if auth else []


def server_volumes(auth: Auth | None) -> list[dict[str, Any]]:
    """Return the volume of a server pod, which does not need the observe key."""
    return [_volume(_file(auth.keys_secret_ref, KEY_FILE))] if auth else []


def router_volumes(auth: Auth | None) -> list[dict[str, Any]]:
    """Return the volume of a router, with the observe key."""
    if auth is None:
        return []
    observe_key = _file(auth.observe_key_secret_ref, OBSERVE_KEY)
    return [_volume(_file(auth.keys_secret_ref, KEY_FILE), observe_key)]


def batches_volumes(auth: Auth | None) -> list[dict[str, Any]]:
    """Return the volume of batches, with the key for the routers."""
    if auth is None or auth.batches_key_secret_ref is None:
        return []
    key = _file(auth.batches_key_secret_ref, BATCHES_KEY)
    return [_volume(_file(auth.keys_secret_ref, KEY_FILE), key)]


def pod_monitor_authorization(auth: Auth | None) -> dict[str, Any]:
    """Return the authorization of a PodMonitor's endpoint; empty without API keys."""
    if auth is None:
        return {}
    entry = auth.observe_key_secret_ref
    return {"authorization": {"credentials": {"name": entry.name, "key": entry.key}}}


def _volume(*sources: dict[str, Any]) -> dict[str, Any]:
    return {"name": "keys", "projected": {"sources": list(sources), "defaultMode": MODE}}


def _file(entry: KeyFile | ObserveKey | BatchesKey, path: str) -> dict[str, Any]:
    return {"secret": {"name": entry.name, "items": [{"key": entry.key, "path": path}]}}
