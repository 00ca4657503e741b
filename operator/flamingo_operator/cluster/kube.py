"""The one file that talks to the Kubernetes API.

The official client's asynchronous half brings configuration, certificates and
tokens; requests are made by path, because its typed models cost ten times the
CPU of the JSON and keep objects whole.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from flamingo_operator.api import names
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.observed import ObjectRef

Json = dict[str, Any]

CALL_S = 30.0
CONNECT_S = 5.0
MAX_CALLS = 32
"""Requests under way at once: a crowd waits here and not in the API server's queues."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
_QUIET_STATUSES = range(400)


class ApiError(Exception):
    """The API server answered with a refusal, or not at all (status 0)."""

    def __init__(self, status: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def is_refusal(self) -> bool:
        """Whether the same request would be refused again, until somebody changes something."""
        is_webhook = self.status == 500 and "failed calling webhook" in self.message  # noqa: PLR2004
        return self.status in (400, 403, 405, 422) or is_webhook


async def load_configuration(kubeconfig: str | None) -> client.Configuration:
    """Return where the API server is, by a file or by the pod's own account."""
    found = client.Configuration()
    if kubeconfig:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig, client_configuration=found
        )
    else:
        config.load_incluster_config(found)  # type: ignore[no-untyped-call]
    return found


class KubeClient:
    """The API server, by path. `aclose` it in the end."""

    def __init__(self, configuration: client.Configuration) -> None:
        # No bound on connections: each watch keeps one, and there are as many as namespaces and
        # kinds; what else is under way at once is bounded by `MAX_CALLS`.
        configuration.connection_pool_maxsize = 0
        self._api = client.ApiClient(configuration)
        self._room = asyncio.Semaphore(MAX_CALLS)
        self.num_writes = 0

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Return an object or a list.

        Raises:
            ApiError: there is none, or it is refused, or nobody answers.
        """
        return await self._call("GET", path, query)

    async def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Return an object, or None if there is none."""
        try:
            return await self.get(kind.path(namespace, name))
        except ApiError as error:
            if error.status == 404:  # noqa: PLR2004 - HTTP
                return None
            raise

    async def apply(self, kind: Kind, manifest: Json, *, subresource: str = "") -> Json:
        """Make an object what `manifest` says of it; return it as it is then."""
        metadata = manifest["metadata"]
        path = kind.path(metadata.get("namespace", ""), metadata["name"])
        query = {"fieldManager": names.FIELD_MANAGER, "force": "true"}
        path += f"/{subresource}" if subresource else ""
        return await self._write("PATCH", path, query, manifest, APPLY)

    async def merge(self, kind: Kind, ref: ObjectRef, patch: Json) -> Json:
        """Change some fields of exactly this object, at exactly this version."""
        which = {"uid": ref.uid, "resourceVersion": str(ref.resource_version)}
        body = {**patch, "metadata": {**patch.get("metadata", {}), **which}}
        query = {"fieldManager": names.FIELD_MANAGER}
        path = kind.path(ref.namespace, ref.name)
        return await self._write("PATCH", path, query, body, MERGE)

    async def create(self, kind: Kind, body: Json) -> Json:
        """Create an object."""
        query = {"fieldManager": names.FIELD_MANAGER}
        return await self._write("POST", kind.path(body["metadata"]["namespace"]), query, body)

    async def replace(self, kind: Kind, body: Json) -> Json:
        """Replace an object, at the version that `body` names."""
        metadata = body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"])
        return await self._write("PUT", path, {"fieldManager": names.FIELD_MANAGER}, body)

    async def delete(self, kind: Kind, ref: ObjectRef, *, grace_s: int | None = None) -> Json:
        """Delete exactly this object, at exactly this version."""
        which = {"uid": ref.uid, "resourceVersion": str(ref.resource_version)}
        body: Json = {"preconditions": which, "propagationPolicy": "Background"}
        if grace_s is not None:
            body["gracePeriodSeconds"] = grace_s
        return await self._write("DELETE", kind.path(ref.namespace, ref.name), {}, body)

    async def _write(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Json,
        content_type: str = "application/json",
    ) -> Json:
        self.num_writes += 1
        return await self._call(method, path, query, body=body, content_type=content_type)

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        *,
        body: Json | None = None,
        content_type: str = "application/json",
    ) -> Json:
        content, waits_s = (body, content_type), (CALL_S, CALL_S)
        async with self._room, self._answer((method, path), query, content, waits_s) as response:
            text = await response.read()
        return json.loads(text)  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def lines(
        self, path: str, query: Mapping[str, str], *, silence_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the lines of a watch, as they come.

        Raises:
            ApiError: it is refused, breaks, or says nothing for `silence_s`.
        """
        waits_s = (None, silence_s)
        async with self._answer(("GET", path), query, (None, ""), waits_s) as response:
            yield _lines(response)

    @contextlib.asynccontextmanager
    async def _answer(
        self,
        where: tuple[str, str],
        query: Mapping[str, str] | None,
        content: tuple[Json | None, str],
        waits_s: tuple[float | None, float],
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        (method, path), (body, content_type), (total_s, silence_s) = where, content, waits_s
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = content_type
        timeout = aiohttp.ClientTimeout(total=total_s, sock_connect=CONNECT_S, sock_read=silence_s)
        try:
            request = await self._api.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            answer = await self._api.call_api(*request, _request_timeout=timeout)
            async with answer.response as response:
                if response.status not in _QUIET_STATUSES:
                    raise _refusal(response, await response.read())
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, f"no answer: {type(error).__name__} {error}") from error


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield whole lines: aiohttp's own reader refuses long ones."""
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            yield b"".join([*parts, piece])
            parts = []
        parts.append(rest)


def _refusal(response: aiohttp.ClientResponse, text: bytes) -> ApiError:
    wait = response.headers.get("Retry-After", "")
    try:
        message = json.loads(text).get("message", "")
    except (ValueError, AttributeError):
        message = text.decode(errors="replace")[:500]
    retry_after_s = float(wait) if wait.isdigit() else None
    return ApiError(response.status, message or str(response.reason), retry_after_s)
