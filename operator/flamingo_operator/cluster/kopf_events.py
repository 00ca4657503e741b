"""kopf tells of FlamingoDeployments, and of nothing else.

It runs on a thread and a loop of its own, because it takes over its loop: it
handles its signals and, in the end, cancels every task there.

It ends when the API server refuses it once, as while the CustomResourceDefinition or our
rights are being replaced; then it is begun again. It tells nothing, for ever, of a kind
that is not served when it begins, so that is waited for.

Only `on.event`: it writes nothing, no finalizer, no annotation. Never an index:
its start takes time with the square of the number of objects.
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
"""Takes the type of an event (None: it was listed) and the object."""
CheckServed = Callable[[], Coroutine[Any, Any, None]]
"""Returns if the API server serves our kind; raises if not."""
Login = Callable[..., kopf.ConnectionInfo | None]


class EndlessBackoff:
    """Waits between tries: an API server that is away for an hour is waited for."""

    def __iter__(self) -> Iterator[float]:
        wait_s = 0.5
        while True:
            yield wait_s
            wait_s = min(10.0, wait_s * 2)


class KopfWatcher:
    """The thread that follows FlamingoDeployments."""

    def __init__(
        self, told: OnEvent, served: CheckServed, namespaces: Sequence[str], login: Login
    ) -> None:
        self._told = told
        self._served = served
        self._namespaces = namespaces
        self._login = login
        self._loop = asyncio.get_running_loop()
        self._stop = threading.Event()
        self._end = threading.Event()
        """Ends kopf's present run."""
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether it still follows."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to follow."""
        # It tells of every object that it passes on.
        logging.getLogger("kopf").setLevel(logging.WARNING)
        self._thread.start()

    async def stop(self) -> None:
        """End it, and wait for it."""
        self._stop.set()
        self._end.set()
        await asyncio.to_thread(self._thread.join, 10.0)

    def _run(self) -> None:
        for wait_s in EndlessBackoff():
            self._end = threading.Event()
            if self._stop.is_set():
                return
            try:
                asyncio.run_coroutine_threadsafe(self._served(), self._loop).result()
                asyncio.run(self._follow())
            except Exception as error:  # noqa: BLE001 - kopf's own errors have no common type
                logs.get().warning("source.failed", error=str(error))
            self._stop.wait(wait_s)

    async def _follow(self) -> None:
        try:
            await self._operate()
        finally:
            # Else a thread of kopf's would wait for it, and this loop for that thread.
            self._end.set()

    async def _operate(self) -> None:
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self._login)
        kopf.on.event(names.GROUP, names.VERSION, names.PLURAL, registry=registry)(self._heard)
        await kopf.operator(
            registry=registry,
            settings=_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=list(self._namespaces),
            stop_flag=self._end,
            # For peers, of which there are none; by itself it asks who runs it, and in a
            # container nobody does: the user has a number and no name.
            identity=names.FIELD_MANAGER,  # type: ignore[arg-type]  # its type is not public
        )

    async def _heard(self, event: Mapping[str, Any], **_: Any) -> None:
        self._loop.call_soon_threadsafe(self._told, event["type"], event["object"])


def login_from(configuration: client.Configuration | None) -> Login:
    """Return how kopf connects: as the official client does, or by the pod's own account."""
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
    # No handler of ours writes; there is no version to wait for.
    settings.persistence.consistency_timeout = 0
    return settings
