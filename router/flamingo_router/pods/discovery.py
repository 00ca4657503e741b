"""Discovery of the pods: configured, resolved by DNS, or watched as EndpointSlices.

Each source reports all the members that it knows, and the fleet is the union of the
sources. While a source fails (the API server is down, a name server times out) its
last report stays in effect, so an outage of the source removes no pods.
"""

import asyncio
import random
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

from flamingo_common.service import logs
from flamingo_common.service.backoff import backoff_s
from flamingo_router.pods import kube
from flamingo_router.pods.endpoint_slices import Service, SliceCache

DNS_INTERVAL_S = 5.0
FIRST_RETRY_S, MAX_RETRY_S = 0.5, 30.0
MIN_WATCH_S = 1.0

Members = Mapping[str, bool]
"""Whether each endpoint, by address, may get new requests."""


@dataclass(slots=True)
class Membership:
    """The union of what each source reported last."""

    on_change: Callable[[dict[str, bool]], None]
    """Called with the union whenever the report of a source changes."""
    _by_source: dict[str, Members] = field(default_factory=dict)

    def update(self, source: str, members: Members) -> None:
        """Replace the members of one source."""
        if self._by_source.get(source) == members:
            return
        self._by_source[source] = members
        merged: dict[str, bool] = {}
        for known in self._by_source.values():
            for address, is_open in known.items():
                merged[address] = merged.get(address, False) or is_open
        self.on_change(merged)


@dataclass(slots=True)
class RetryDelay:
    """Waits between failed requests, longer each time, with jitter so that routers spread out."""

    first_s: float = FIRST_RETRY_S
    num_failures: int = 0

    async def wait(self) -> None:
        """Count one more failure, and sleep for the delay after that many."""
        self.num_failures += 1
        delay_s = backoff_s(self.num_failures, first_s=self.first_s, max_s=MAX_RETRY_S)
        await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))  # noqa: S311 - no secret

    def reset(self) -> None:
        """Start again from the first delay: the source works."""
        self.num_failures = 0


async def keep_resolving(membership: Membership, name: str, port: int) -> None:
    """Resolve `name` every few seconds, until cancelled."""
    source, was_found = f"dns {name}:{port}", True
    while True:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                name, port, type=socket.SOCK_STREAM
            )
        except OSError as error:  # also a headless Service without a ready pod
            if was_found:
                logs.get().warning("discovery.failed", source=source, error=str(error))
            was_found = False
        else:
            was_found = True
            membership.update(source, dict.fromkeys(_urls(found), True))
        await asyncio.sleep(DNS_INTERVAL_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class WatchTimeouts:
    """Duration of one watch, its read timeout, and the interval of full lists, in seconds."""

    watch_s: float = 300.0
    silence_s: float = 150.0
    """Read timeout of a watch: two and a half bookmarks, of which there is one each minute."""
    resync_s: float = 600.0
    """Interval of full lists, in case a watch has lost an event."""


async def keep_watching(
    membership: Membership, service: Service, resource: kube.Resource, timeouts: WatchTimeouts
) -> None:
    """Watch the EndpointSlices of a Service, until cancelled."""
    source = f"endpointslices {service.namespace}/{service.name}"
    slices, delay = SliceCache(), RetryDelay()

    def on_update(is_event: bool) -> None:
        membership.update(source, slices.members(service.port))
        if is_event:
            delay.reset()

    while True:
        try:
            await _list_and_watch(resource, slices, on_update, timeouts)
        except kube.VersionExpired:
            logs.get().info("discovery.relisted", source=source)
            await delay.wait()
        except (kube.ApiError, aiohttp.ClientError, OSError, ValueError, LookupError) as error:
            logs.get().warning("discovery.failed", source=source, error=repr(error))
            await delay.wait()


async def _list_and_watch(
    resource: kube.Resource,
    slices: SliceCache,
    on_update: Callable[[bool], None],
    timeouts: WatchTimeouts,
) -> None:
    """List all slices, then apply the events of watches until the next resync is due.

    `on_update` gets True for an event of the watch, which proves that the watch works, and
    False for the list.
    """
    items, version = await resource.list_all()
    slices.replace(items)
    on_update(False)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + timeouts.resync_s
    while (left_s := until_s - loop.time()) > 0:
        watch_s = max(min(timeouts.watch_s, left_s), 1.0)
        watch = resource.watch(version, watch_s=watch_s, silence_s=timeouts.silence_s)
        async for event in watch:
            version = event.version
            slices.apply(event.kind, event.manifest)
            on_update(True)
        if loop.time() - until_s + left_s < MIN_WATCH_S:
            await asyncio.sleep(MIN_WATCH_S)  # a proxy can end every watch immediately


def endpoint_slices(
    access: kube.Access, session: aiohttp.ClientSession, service: Service
) -> kube.Resource:
    """Return the EndpointSlices of a Service, to list and watch."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{service.namespace}/endpointslices"
    return kube.Resource(access, session, path, f"kubernetes.io/service-name={service.name}")


def _urls(found: Iterable[tuple[object, ...]]) -> list[str]:
    hosts = sorted({(str(address[0]), address[1]) for *_, address in found})  # type: ignore[index]
    return [
        f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        for host, port in hosts
    ]
