"""The only module that sends requests to the Kubernetes API, with preconditions where needed.

The official client provides configuration, certificates and
tokens; requests are made by path, because its typed models cost ten times the
CPU of the JSON and keep objects whole.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from flamingo_common import numerals
from flamingo_operator.api import names
from flamingo_operator.cluster.kinds import Kind
from flamingo_operator.cluster.observed import ObjectRef

Json = dict[str, Any]

REQUEST_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
MAX_IN_FLIGHT = 32
"""Requests in flight at once: a burst waits here and not in the API server's queues."""
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"
"""Keeps the list items that a patch does not name. Only for Kubernetes' own kinds."""
NOT_FOUND, CONFLICT, INVALID = 404, 409, 422
NO_KUBECONFIG = "set --kubeconfig: this process is not a pod with a service account"
_OK_STATUSES = range(400)
_MANAGER = {"fieldManager": names.FIELD_MANAGER}


class ApiError(Exception):
    """The API server rejected the request, or did not respond (status 0)."""

    def __init__(self, status: int, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def is_rejection(self) -> bool:
        """Whether the same request would be rejected again, until something is changed."""
        is_webhook = self.status == 500 and "failed calling webhook" in self.message  # noqa: PLR2004
        return self.status in (400, 403, 405, 422) or is_webhook

    @property
    def is_refusal(self) -> bool:
        """Whether reading is not permitted, or what is read does not exist."""
        return self.status in (403, NOT_FOUND, 405)


@dataclass(frozen=True, slots=True)
class _Request:
    """One HTTP request to the API server."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class _Timeouts:
    """Limits of one request; a watch has no total."""

    total_s: float | None = REQUEST_TIMEOUT_S
    read_s: float = REQUEST_TIMEOUT_S


class ConfigurationError(Exception):
    """Nothing says where the API server is, or what is there cannot be used."""


async def load_configuration(kubeconfig: str | None) -> client.Configuration:
    """Return the address and credentials, from a kubeconfig file or the pod's service account.

    Raises:
        ConfigurationError: there is none; the message says what to do.
    """
    try:
        return await _load_configuration(kubeconfig)
    except config.ConfigException as error:
        what = f"the kubeconfig {kubeconfig} cannot be used" if kubeconfig else NO_KUBECONFIG
        raise ConfigurationError(f"{what}: {error}") from None


async def _load_configuration(kubeconfig: str | None) -> client.Configuration:
    found = client.Configuration()
    if kubeconfig:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            kubeconfig, client_configuration=found
        )
    else:
        config.load_incluster_config(found)  # type: ignore[no-untyped-call]
    return found


def _ignore() -> None:
    """Do nothing, for a client whose writes are not counted."""


class KubeClient:
    """A client of the API server; call `aclose` at the end.

    `on_write` is called before each request that may change something.
    """

    def __init__(
        self, configuration: client.Configuration, *, on_write: Callable[[], None] = _ignore
    ) -> None:
        # No limit on connections: each watch keeps one, for each namespace and kind. Other
        # requests are limited by `MAX_IN_FLIGHT`.
        configuration.connection_pool_maxsize = 0
        self._api = client.ApiClient(configuration)
        self._slots = asyncio.Semaphore(MAX_IN_FLIGHT)
        self._on_write = on_write

    async def aclose(self) -> None:
        """Close the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        """Return an object or a list.

        Raises:
            ApiError: it does not exist, is not permitted, or the API server did not respond.
        """
        return await self._send(_Request("GET", path, query or {}))

    async def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """Return an object, or None if it does not exist."""
        try:
            return await self.get(kind.path(namespace, name))
        except ApiError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    async def apply(self, kind: Kind, manifest: Json, *, replaces: ObjectRef | None = None) -> Json:
        """Apply `manifest` server-side, by force; return the object as it is then.

        With `replaces`, it is applied only to exactly this object, at exactly this version.
        """
        path = _path(kind, manifest)
        if replaces is not None:
            metadata = {**manifest["metadata"], **_preconditions(replaces)}
            manifest = {**manifest, "metadata": metadata}
        query = {**_MANAGER, "force": "true"}
        return await self._write(_Request("PATCH", path, query, manifest, APPLY))

    async def hand_over(self, kind: Kind, manifest: Json) -> None:
        """Make the fields in `manifest` belong to the manager of fields that others may set.

        Raises:
            ApiError: with status 409, another manager has set one of them to another value.
        """
        query = {"fieldManager": names.INITIAL_FIELD_MANAGER}
        await self._write(_Request("PATCH", _path(kind, manifest), query, manifest, APPLY))

    async def merge(
        self, kind: Kind, ref: ObjectRef, patch: Json, content_type: str = MERGE
    ) -> Json:
        """Merge-patch exactly this object, at exactly this version."""
        metadata = {**patch.get("metadata", {}), **_preconditions(ref)}
        path, body = kind.path(ref.namespace, ref.name), {**patch, "metadata": metadata}
        return await self._write(_Request("PATCH", path, _MANAGER, body, content_type))

    async def merge_status(self, kind: Kind, namespace: str, name: str, patch: Json) -> Json:
        """Merge-patch the status of an object; `patch` has its preconditions."""
        path = f"{kind.path(namespace, name)}/status"
        return await self._write(_Request("PATCH", path, _MANAGER, patch, MERGE))

    async def create(self, kind: Kind, body: Json) -> Json:
        """Create an object."""
        path = kind.path(body["metadata"]["namespace"])
        return await self._write(_Request("POST", path, _MANAGER, body))

    async def replace(self, kind: Kind, body: Json) -> Json:
        """Replace an object, at the version that `body` names."""
        path = kind.path(body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._write(_Request("PUT", path, _MANAGER, body))

    async def delete(
        self, kind: Kind, ref: ObjectRef, *, grace_period_s: int | None = None
    ) -> Json:
        """Delete exactly this object, at exactly this version."""
        body: Json = {"preconditions": _preconditions(ref), "propagationPolicy": "Background"}
        if grace_period_s is not None:
            body["gracePeriodSeconds"] = grace_period_s
        path = kind.path(ref.namespace, ref.name)
        return await self._write(_Request("DELETE", path, body=body))

    async def _write(self, request: _Request) -> Json:
        self._on_write()
        return await self._send(request)

    async def _send(self, request: _Request) -> Json:
        async with self._slots, self._respond(request, _Timeouts()) as response:
            text = await response.read()
        return json.loads(text)  # type: ignore[no-any-return]

    @contextlib.asynccontextmanager
    async def lines(
        self, path: str, query: Mapping[str, str], *, read_timeout_s: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Yield the lines of a watch, as they arrive.

        Raises:
            ApiError: it is rejected, breaks, or sends nothing for `read_timeout_s`.
        """
        timeouts = _Timeouts(total_s=None, read_s=read_timeout_s)
        async with self._respond(_Request("GET", path, query), timeouts) as response:
            yield _split_lines(response)

    @contextlib.asynccontextmanager
    async def _respond(
        self, request: _Request, timeouts: _Timeouts
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": "application/json"}
        if request.body is not None:
            headers["Content-Type"] = request.content_type
        timeout = aiohttp.ClientTimeout(
            total=timeouts.total_s, sock_connect=CONNECT_TIMEOUT_S, sock_read=timeouts.read_s
        )
        try:
            parts = await self._api.param_serialize(
                request.method,
                request.path,
                query_params=list(request.query.items()),
                header_params=headers,
                body=request.body,
                auth_settings=["BearerToken"],
            )
            reply = await self._api.call_api(*parts, _request_timeout=timeout)
            async with reply.response as response:
                if response.status not in _OK_STATUSES:
                    raise _error_of(response, await response.read())
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiError(0, f"no response: {type(error).__name__} {error}") from error


def _path(kind: Kind, manifest: Json) -> str:
    metadata = manifest["metadata"]
    return kind.path(metadata.get("namespace", ""), metadata["name"])


def _preconditions(ref: ObjectRef) -> Json:
    return {"uid": ref.uid, "resourceVersion": str(ref.resource_version)}


async def _split_lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield whole lines: aiohttp's own reader rejects long ones."""
    parts: list[bytes] = []
    async for chunk in response.content.iter_any():
        *ended, rest = chunk.split(b"\n")
        for end in ended:
            yield b"".join([*parts, end])
            parts = []
        parts.append(rest)


def _error_of(response: aiohttp.ClientResponse, text: bytes) -> ApiError:
    retry_after = response.headers.get("Retry-After", "")
    try:
        message = json.loads(text).get("message", "")
    except (ValueError, AttributeError):
        message = text.decode(errors="replace")[:500]
    retry_after_s = numerals.whole(retry_after)
    return ApiError(response.status, message or str(response.reason), retry_after_s)
