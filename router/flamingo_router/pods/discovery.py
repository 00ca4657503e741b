"""Where the pods are: given once, looked up in DNS, or watched in Kubernetes.

Each source says what it knows when it knows it; the fleet is what all say together.
While a source is silent (the API server is away, a name server fails) what it last
said stays true: pods do not vanish because nobody speaks of them.
"""

import asyncio
import random
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import aiohttp

from flamingo_common.service import logs
from flamingo_router.pods import kube
from flamingo_router.pods.endpoint_slices import Service, Slices

LOOKUP_S = 5.0
WATCH_S = 300.0
SILENCE_S = 150.0
"""Two bookmarks and a half."""
RESYNC_S = 600.0
"""A list each so often, in case that a watch has lost something."""
FIRST_PAUSE_S, MAX_PAUSE_S = 0.5, 30.0

MIN_WATCH_S = 1.0

Members = Mapping[str, bool]
"""By address: whether it may get work."""


@dataclass(slots=True)
class Sources:
    """What every source last said."""

    on_change: Callable[[dict[str, bool]], None]
    _said: dict[str, Members] = field(default_factory=dict)

    def say(self, source: str, members: Members) -> None:
        """Take in what one source says; it forgets what it said before."""
        if self._said.get(source) == members:
            return
        self._said[source] = members
        merged: dict[str, bool] = {}
        for said in self._said.values():
            for address, is_open in said.items():
                merged[address] = merged.get(address, False) or is_open
        self.on_change(merged)


@dataclass(slots=True)
class Pause:
    """Longer and longer, so that who is ill is left alone; some chance, so that no herd comes."""

    seconds: float = FIRST_PAUSE_S

    async def take(self) -> None:
        """Wait; the next one is longer."""
        await asyncio.sleep(self.seconds * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
        self.seconds = min(2 * self.seconds, MAX_PAUSE_S)

    def reset(self) -> None:
        """Begin anew: it works again."""
        self.seconds = FIRST_PAUSE_S


async def keep_resolving(sources: Sources, name: str, port: int) -> None:
    """Look `name` up every few seconds, for ever."""
    source, was_found = f"dns {name}:{port}", True
    while True:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                name, port, type=socket.SOCK_STREAM
            )
        except OSError as error:  # a name without addresses is one too: nobody is ready
            if was_found:
                logs.get().warning("discovery.failed", source=source, error=str(error))
            was_found = False
        else:
            was_found = True
            sources.say(source, dict.fromkeys(_urls(found), True))
        await asyncio.sleep(LOOKUP_S * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a watch runs, how long it may be silent, how often all is listed anew."""

    watch_s: float = WATCH_S
    silence_s: float = SILENCE_S
    resync_s: float = RESYNC_S


async def keep_watching(
    sources: Sources, service: Service, resource: kube.Resource, pace: Pace
) -> None:
    """Follow the EndpointSlices of a Service, for ever."""
    source = f"endpointslices {service.namespace}/{service.name}"
    slices, pause = Slices(), Pause()

    def tell(is_news: bool) -> None:
        sources.say(source, slices.members(service.port))
        if is_news:
            pause.reset()

    while True:
        try:
            await _follow(resource, slices, tell, pace)
        except kube.Gone:
            logs.get().info("discovery.relist", source=source)
            await pause.take()
        except (kube.Refused, aiohttp.ClientError, OSError, ValueError, LookupError) as error:
            logs.get().warning("discovery.failed", source=source, error=repr(error))
            await pause.take()


async def _follow(
    resource: kube.Resource, slices: Slices, tell: Callable[[bool], None], pace: Pace
) -> None:
    """List, then take in what changes, until it is time to list again.

    `tell` is called with whether there is news, which shows that the watch works.
    """
    items, version = await resource.listed()
    slices.replace(items)
    tell(False)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + pace.resync_s
    while (left_s := until_s - loop.time()) > 0:
        watch_s = max(min(pace.watch_s, left_s), 1.0)
        watch = resource.watched(version, watch_s=watch_s, silence_s=pace.silence_s)
        async for event in watch:
            version = event.version
            slices.apply(event.kind, event.thing)
            tell(True)
        if loop.time() - until_s + left_s < MIN_WATCH_S:  # or a proxy that ends all would be asked
            await asyncio.sleep(MIN_WATCH_S)  # as fast as it answers


def endpoint_slices(
    access: kube.Access, session: aiohttp.ClientSession, service: Service
) -> kube.Resource:
    """Return the slices of a Service, to be listed and watched."""
    path = f"/apis/discovery.k8s.io/v1/namespaces/{service.namespace}/endpointslices"
    return kube.Resource(access, session, path, f"kubernetes.io/service-name={service.name}")


def _urls(found: Iterable[tuple[object, ...]]) -> list[str]:
    hosts = sorted({(str(address[0]), address[1]) for *_, address in found})  # type: ignore[index]
    return [
        f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        for host, port in hosts
    ]
