"""Compares the CustomResourceDefinition that the API server serves with the one of this release.

The operator works with either: fields that the API server does not know are pruned, and fields
that this release does not know are ignored. That is reported, in one log line and a metric, at the
start and whenever the served definition changes. It is read from the OpenAPI documents, which need
no permission of their own.
"""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from flamingo_common.service import logs
from flamingo_operator import crd
from flamingo_operator.api import names, schema_skew
from flamingo_operator.api.schema_skew import SchemaSkew
from flamingo_operator.cluster import kinds
from flamingo_operator.cluster.kube import NOT_FOUND, ApiError, KubeClient
from flamingo_operator.telemetry.metrics import Metrics

MAX_LOGGED = 20
"""Fields of each kind of difference that the log line names."""


@dataclass(slots=True)
class CrdCheck:
    """Looks at the served definition at intervals."""

    kube: KubeClient
    metrics: Metrics
    interval_s: float
    _known: str = field(default="")
    """The address of the compared document, which has a hash of it."""

    async def run(self) -> None:
        """Compare, and again whenever the definition changes, until cancelled."""
        while True:
            try:
                await self._check()
            except ApiError as error:
                if error.status != NOT_FOUND:  # as from an API server without OpenAPI documents
                    logs.get().warning("crd.not_read", error=error.message)
            await asyncio.sleep(self.interval_s * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def _check(self) -> None:
        index = await self.kube.get("/openapi/v3")
        found = index.get("paths", {}).get(f"apis/{kinds.RESOURCE.version}", {})
        address = str(found.get("serverRelativeURL", ""))
        if not address or address == self._known:
            return
        path, _, query = address.partition("?")
        document = await self.kube.get(path, dict(one.split("=", 1) for one in query.split("&")))
        schema = _served_schema(document)
        if schema is not None:
            # To generate ours takes long enough to delay the first reconciliations.
            ours = await asyncio.to_thread(own_schema)
            self._report(schema_skew.compare(_compared(ours), _compared(schema)))
        self._known = address

    def _report(self, skew: SchemaSkew) -> None:
        differences = {"missing": skew.missing, "unknown": skew.unknown, "changed": skew.changed}
        for name, paths in differences.items():
            self.metrics.crd_skew.labels(name).set(len(paths))
        if skew == SchemaSkew():
            logs.get().info("crd.matches", name=names.CRD)
            return
        logs.get().warning(
            "crd.skew",
            name=names.CRD,
            **{name: list(paths[:MAX_LOGGED]) for name, paths in differences.items() if paths},
            message="the CustomResourceDefinition is of another release: missing fields are pruned,"
            " unknown ones are ignored; apply the definition of the operator's release",
        )


def own_schema() -> dict[str, Any]:
    """Return the schema of this release."""
    (version,) = crd.manifest()["spec"]["versions"]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return found


def _compared(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a schema that is ours: the API server adds the metadata's."""
    return {"properties": {name: schema["properties"][name] for name in ("spec", "status")}}


def _served_schema(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the schema of our kind in an OpenAPI document."""
    schemas: dict[str, Any] = document.get("components", {}).get("schemas", {})
    for schema in schemas.values():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            if kind.get("kind") == names.KIND and kind.get("group") == names.GROUP:
                return dict(schema)
    return None
