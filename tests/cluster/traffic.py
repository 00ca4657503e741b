"""Small questions, one after the other, for as long as something happens to the fleet."""

import base64
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import openai
from cluster.nodes import Cluster, enter_network

from flamingo import FlamingoClient, FlamingoError

PAUSE_S = 0.2
"""Between an answer and the next question: a crowd would take the node from servers that start."""
ANSWER_S = 60


@dataclass(frozen=True)
class Door:
    """An address of a fleet."""

    url: str
    host: str = ""
    """The name that the address has, if it is one for several."""
    authority: Path | None = None
    """Whose certificates are trusted, for HTTPS."""

    @contextlib.contextmanager
    def client(self) -> Iterator[httpx2.Client]:
        """Yield what asks there."""
        trusted = ssl.create_default_context(cafile=self.authority) if self.authority else True
        # A proxy that reads its configuration again closes idle connections at any time.
        kept = httpx2.Limits(max_keepalive_connections=0 if self.host else 1)
        headers = {"Host": self.host} if self.host else {}
        with httpx2.Client(
            base_url=self.url, headers=headers, verify=trusted, limits=kept, timeout=ANSWER_S
        ) as client:
            yield client

    @property
    def extensions(self) -> dict[str, str]:
        """Return what a request needs beside its URL: the name that TLS asks for."""
        return {"sni_hostname": self.host} if self.host else {}


@dataclass
class Traffic:
    """What became of the questions."""

    num_answered: dict[str, int] = field(default_factory=dict)
    """By who asked."""
    failures: list[str] = field(default_factory=list)


@contextlib.contextmanager
def traffic(cluster: Cluster, doors: Sequence[Door], clip: bytes) -> Iterator[Traffic]:
    """Ask about `clip` at each door while the block lasts; nobody asks a second time."""
    with contextlib.ExitStack() as stack:
        callers = {door.url: _caller(door, stack.enter_context(door.client())) for door in doors}
        with _asking(cluster, callers, clip) as told:
            yield told


@contextlib.contextmanager
def asking_again(cluster: Cluster, url: str, clip: bytes) -> Iterator[Traffic]:
    """Ask with the official client and ours, which try again by themselves."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none") as openai_client:

        def ask_openai(clip: bytes) -> None:
            audio = {"data": base64.b64encode(clip).decode(), "format": "wav"}
            content: list[Any] = [{"type": "input_audio", "input_audio": audio}]
            openai_client.chat.completions.create(
                model="flamingo-tiny",
                messages=[{"role": "user", "content": content}],
                max_tokens=8,
            )

        def ask_flamingo(clip: bytes) -> None:
            # Its event loop has a thread, which has to be in the cluster's network, too.
            with FlamingoClient(url) as client:
                client.caption(clip, max_tokens=8)

        callers = {"openai": ask_openai, "flamingo": ask_flamingo}
        with _asking(cluster, callers, clip) as told:
            yield told


def _caller(door: Door, client: httpx2.Client) -> Callable[[bytes], None]:
    def ask(clip: bytes) -> None:
        answer = client.post(
            "/v1/audio/captions",
            files={"file": ("clip.wav", clip)},
            data={"max_tokens": "8"},
            extensions=door.extensions,
        )
        answer.raise_for_status()

    return ask


@contextlib.contextmanager
def _asking(
    cluster: Cluster, callers: Mapping[str, Callable[[bytes], None]], clip: bytes
) -> Iterator[Traffic]:
    """Let each ask while the block lasts; every question that was begun is finished."""
    told, stop = Traffic(dict.fromkeys(callers, 0)), threading.Event()

    def go_on(name: str, ask: Callable[[bytes], None]) -> None:
        enter_network(cluster.network)
        while not stop.wait(PAUSE_S):
            try:
                ask(clip)
            except (httpx2.HTTPError, openai.OpenAIError, FlamingoError) as error:
                told.failures.append(f"{name}: {error!r}")
            else:
                told.num_answered[name] += 1

    threads = [threading.Thread(target=go_on, args=one) for one in callers.items()]
    for thread in threads:
        thread.start()
    try:
        yield told
    finally:
        stop.set()
        for thread in threads:
            thread.join()
