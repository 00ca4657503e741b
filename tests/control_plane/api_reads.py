"""Reads objects from an API server as `kubectl get` does, without a program for each look.

A test looks several times a second, and kubectl takes a tenth of a second of a core each time.
"""

import base64
import functools
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fakes.patience import PATIENCE_S

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Resource:
    """Where the objects of a kind are."""

    api_version: str
    kind: str
    plural: str
    is_namespaced: bool

    def path(self, namespace: str, name: str) -> str:
        root = "apis" if "/" in self.api_version else "api"
        inside = f"/namespaces/{namespace}" if self.is_namespaced else ""
        return f"/{root}/{self.api_version}{inside}/{self.plural}" + (f"/{name}" if name else "")


class ApiReads:
    """Reads with the token of a kubeconfig in JSON."""

    def __init__(self, kubeconfig: Path) -> None:
        config = json.loads(kubeconfig.read_text(encoding="utf-8"))
        self._server = config["clusters"][0]["cluster"]
        self._token = config["users"][0]["user"]["token"]
        self._resources: dict[str, Resource] = {}

    def get(self, namespace: str, kinds: str, name: str = "") -> dict[str, Any]:
        """Return an object, or a list of all objects of the kinds, which are kubectl's words.

        Raises:
            AssertionError: it is not there, or the server has no such kind.
        """
        found = [self._resource(kind) for kind in kinds.split(",")]
        if name:
            (resource,) = found
            return self._read(resource.path(namespace, name))
        return {"items": [one for each in found for one in self._list(namespace, each)]}

    def _list(self, namespace: str, resource: Resource) -> Iterator[dict[str, Any]]:
        # Objects in a list do not say what they are.
        what = {"apiVersion": resource.api_version, "kind": resource.kind}
        for one in self._read(resource.path(namespace, ""))["items"]:
            yield {**what, **one}

    def _resource(self, word: str) -> Resource:
        if word not in self._resources:  # or the definition is new
            self._resources = self._discovered()
        assert word in self._resources, f"the server has no resource type {word!r}"
        return self._resources[word]

    def _discovered(self) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for path in ("/api", "/apis"):
            for group in self._read(path, DISCOVERY)["items"]:
                for word, resource in _words(group):
                    found.setdefault(word, resource)
        return found

    def _read(self, path: str, accept: str = "application/json") -> Any:
        headers = {"Authorization": f"Bearer {self._token}", "Accept": accept}
        asked = urllib.request.Request(self._server["server"] + path, headers=headers)
        try:
            with urllib.request.urlopen(asked, timeout=PATIENCE_S, context=self._tls) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=authority(self._server))


def authority(server: dict[str, Any]) -> str:
    """Return who signs for the server of a kubeconfig; without it, the server itself."""
    if encoded := server.get("certificate-authority-data"):
        return base64.b64decode(encoded).decode()
    at = urlsplit(server["server"])
    return ssl.get_server_certificate((at.hostname, at.port))


def _words(group: dict[str, Any]) -> Iterator[tuple[str, Resource]]:
    """Yield by which words the resources of a group are known; the preferred version is first."""
    name = group["metadata"].get("name")
    for version in group["versions"]:
        api_version = f"{name}/{version['version']}" if name else version["version"]
        for one in version.get("resources", ()):
            resource = Resource(
                api_version,
                one["responseKind"]["kind"],
                one["resource"],
                one["scope"] == "Namespaced",
            )
            for word in (one["resource"], one["singularResource"], *one.get("shortNames", ())):
                yield word, resource
