"""Requests to an API server without kubectl, which takes a hundred times as long to start."""

import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

DRY_RUN = "dryRun=All&fieldValidation=Strict"
STRATEGIC = "application/strategic-merge-patch+json"


@dataclass(frozen=True)
class ApiServer:
    """An API server, and an administrator's token for it."""

    url: str
    token: str

    @classmethod
    def of(cls, cluster: Any) -> "ApiServer":
        config = json.loads(cluster.kubeconfig.read_text())
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        return cls(server["server"], user["token"])

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return what would be stored, or the Status with the reason for the refusal."""
        return self._send("POST", path, body, "application/json")

    def patch(self, path: str, patch: dict[str, Any]) -> dict[str, Any]:
        """Return what a strategic merge patch would store, or the Status."""
        return self._send("PATCH", path, patch, STRATEGIC)

    def _send(self, method: str, path: str, body: Any, kind: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": kind}
        request = urllib.request.Request(
            f"{self.url}{path}?{DRY_RUN}", json.dumps(body).encode(), headers, method=method
        )
        context = ssl._create_unverified_context()  # noqa: S323 - a test cluster's own
        try:
            with urllib.request.urlopen(request, timeout=60, context=context) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
