"""Routers that apply the limits of API keys together, each a process, before one scripted pod."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from fakes import processes

FIRST_PORT = 8000


@contextlib.contextmanager
def sharing_routers(
    folder: Path, count: int, *, key_file: Path, key: str, is_divided: bool = False
) -> Iterator[list[processes.Service]]:
    """Run `count` routers; `key` may observe. Each knows all addresses, also its own.

    If `is_divided`, each applies its share of the limits instead.
    """
    host = processes.loopback_host()
    ports = range(FIRST_PORT, FIRST_PORT + count)
    peers = ",".join(f"http://{host}:{port}" for port in ports)
    limits = ("--quota-share", str(1 / count)) if is_divided else ("--quota-peers", peers)
    with contextlib.ExitStack() as stack:
        pod = stack.enter_context(processes.fake_pod(folder / "pod"))
        flags = ("--endpoint", pod.address, "--key-file", str(key_file), "--pod-key", key)
        routers = [
            stack.enter_context(
                processes.service(
                    "flamingo_router",
                    *flags,
                    *limits,
                    log=folder / f"router-{port}",
                    listens_on=(host, port),
                )
            )
            for port in ports
        ]
        for router in routers:
            processes.wait_until_ready(router)
        yield routers
