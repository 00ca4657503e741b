"""Events of FlamingoDeployments, and of nothing else, received through kopf.

kopf runs on a thread and an event loop of its own, because it treats the loop as its
own: it handles signals there and, at the end, cancels every task.

kopf ends when the API server rejects a single request, for example while the CRD or our
RBAC rules are being replaced; it is then started again, in the namespaces that can be listed. It
never reports objects of a kind that is not served when it starts, so the kind is waited for first.

Only `on.event` is used, with which kopf writes neither finalizers nor annotations.
No index is used: its startup time grows with the square of the number of objects.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import kopf
from kubernetes.aio import client

from flamingo_common.service import logs
from flamingo_operator.api import names

OnEvent = Callable[[str | None, Mapping[str, Any]], None]
"""Receives the type of an event (None: it was listed) and the object."""
FindScopes = Callable[[], Coroutine[Any, Any, Sequence[str]]]
"""Returns the namespaces to watch, an empty name for all; raises if there are none."""
Login = Callable[..., kopf.ConnectionInfo | None]


class EndlessBackoff:
    """Waits between attempts, without an end: an API server may be down for an hour."""

    def __iter__(self) -> Iterator[float]:
        wait_s = 0.5
        while True:
            yield wait_s
            wait_s = min(10.0, wait_s * 2)


class KopfWatcher:
    """The thread in which kopf watches FlamingoDeployments."""

    def __init__(self, on_event: OnEvent, find_scopes: FindScopes, login: Login) -> None:
        self._on_event = on_event
        self._find_scopes = find_scopes
        self._login = login
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._end = threading.Event()
        """Ends the current run of kopf."""
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still runs."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Start watching."""
        # On lower levels kopf logs every object that it passes on.
        logging.getLogger("kopf").setLevel(logging.WARNING)
        logging.getLogger(kopf.operator.__module__).addFilter(_is_of_use)
        self._thread.start()

    def restart(self) -> None:
        """Find the namespaces to watch again, and list them."""
        self._end.set()

    async def stop(self) -> None:
        """Stop watching, and wait for the thread to end."""
        self._stop.set()
        self._end.set()
        await asyncio.to_thread(self._thread.join, 10.0)

    def _run(self) -> None:
        for wait_s in EndlessBackoff():
            self._end = threading.Event()
            if self._stop.is_set():
                return
            try:
                finding = asyncio.run_coroutine_threadsafe(self._find_scopes(), self._loop)
                asyncio.run(self._run_kopf(finding.result()))
            except Exception as error:  # noqa: BLE001 - kopf's own errors have no common type
                logs.get().warning("kopf.failed", error=str(error))
            self._stop.wait(wait_s)

    async def _run_kopf(self, scopes: Sequence[str]) -> None:
        try:
            await self._operate([scope for scope in scopes if scope])
        finally:
            # Otherwise a thread of kopf would wait for it, and this loop for that thread.
            self._end.set()

    async def _operate(self, namespaces: Sequence[str]) -> None:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)(self._receive)
        await kopf.operator(
            registry=registry,
            settings=_settings(),
            standalone=True,
            clusterwide=not namespaces,
            namespaces=list(namespaces),
            stop_flag=self._end,
            # Only for kopf's peering, which is off. Without it kopf looks up the name of its
            # user, and in the container the user has a number but no name.
            identity=names.FIELD_MANAGER,  # type: ignore[arg-type]  # its type is not public
        )

    async def _receive(self, event: Mapping[str, Any], **_: Any) -> None:
        self._loop.call_soon_threadsafe(self._on_event, event["type"], event["object"])


def _is_of_use(record: logging.LogRecord) -> bool:
    """Whether a warning of kopf is of use: signals are handled by this process, not by kopf."""
    return not record.getMessage().startswith("OS signals are ignored")


def login_from(configuration: client.Configuration | None) -> Login:
    """Return how kopf connects: like the official client, or by the pod's service account."""
    if configuration is None:
        return kopf.login_with_service_account
    token = configuration.api_key.get("BearerToken", "").removeprefix("Bearer ")
    info = kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
    )
    return lambda **_: info


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.watching.chunk_size = 250
    settings.watching.server_timeout, settings.watching.client_timeout = 300, 330
    settings.networking.connect_timeout, settings.networking.request_timeout = 5, 30
    settings.networking.error_backoffs = EndlessBackoff()
    # Our handler writes nothing, so there is no version to wait for.
    settings.persistence.consistency_timeout = 0
    return settings
