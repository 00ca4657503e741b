"""Addresses that a clip must never be fetched from, in every way to write them.

A listener waits where each of them leads, and counts who comes.
"""

import asyncio
import contextlib
import socket
from ipaddress import ip_network

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver
from fakes.sites import site

from flamingo_common.errors import BadRequest, MediaFetchFailed, Overloaded, RequestTooLarge
from flamingo_common.service import addresses
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import MemoryBudget

OPEN = ip_network("127.0.0.2/32")
REFUSALS = (BadRequest, MediaFetchFailed)


class Listener:
    """Counts connections on every address of this machine, and answers with a secret."""

    def __init__(self, host="", family=socket.AF_INET6):
        self.num_connections = 0
        self._socket = socket.socket(family)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.bind((host, 0))
        self.port = self._socket.getsockname()[1]

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, sock=self._socket)
        return self

    async def __aexit__(self, *_):
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        self.num_connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        await writer.drain()
        writer.close()


async def fetched(url, *, budget_bytes=10**6, **changes):
    fields = {"is_enabled": True, "networks": [], "timeout_s": 5.0, "hosts": (), "max_bytes": 1000}
    fetcher = Fetcher(**(fields | {"slots": asyncio.Semaphore(4)} | changes))
    with MemoryBudget(budget_bytes).reservation() as reservation:
        file = await fetcher.fetch(url, reservation)
        with file.address.open("rb") as opened:
            return opened.read()


FORMS = [
    # loopback, as a number of any kind
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://017700000001:{port}/",
    "http://127.255.255.254:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://127.0.0.1.:{port}/",
    # IPv6, and IPv4 inside it
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[fe80::1%25lo]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[fd00:ec2::254]:{port}/",
    "http://[ff02::1]:{port}/",
    # names
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://a.localhost:{port}/",
    # characters that other parsers see otherwise
    "http://１２７.０.０.１:{port}/",  # noqa: RUF001 - the point
    "http://127。0。0。1:{port}/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:{port}/",
    "http://example.org\\@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}\\@example.org/",
    "http://example.org@127.0.0.1:{port}/",
    "http://user:word@127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#@example.org/",
    "http://127.0.0.1:{port}?@example.org/",
    "http://127.0.0.1%00.example.org:{port}/",
    "http://127.0.0.1%0d%0aX:{port}/",
    "http://127.0.0.1:{port}/\r\nX-Forwarded-For: 1.1.1.1\r\n",
    "http:\\\\127.0.0.1:{port}\\",
    "http:///127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    " http://127.0.0.1:{port}/",
    "HTTP://127.0.0.1:{port}/",
    # other schemes
    "ftp://127.0.0.1:{port}/",
    "gopher://127.0.0.1:{port}/_GET",
    "file://127.0.0.1:{port}/etc/passwd",
    "unix://127.0.0.1:{port}/",
    "ws://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    # metadata services: denied by address, whether or not something listens there
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.170.2/v2/credentials/",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/machine?comp=goalstate",
    "http://192.0.0.192/opc/v2/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://2852039166/",
    "http://0xa9fea9fe/",
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.0.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
]


def test_no_form_of_a_private_address_is_connected_to():
    async def scenario():
        async with Listener() as listener:
            for form in FORMS:
                with pytest.raises(REFUSALS):
                    await fetched(form.format(port=listener.port))
            return listener.num_connections

    assert len(FORMS) > 60
    assert asyncio.run(scenario()) == 0


def test_the_listener_is_reached_by_forms_that_lead_to_it_when_allowed():
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    forms = [
        FORMS[0],
        "http://0x7f000001:{port}/",
        "http://[::1]:{port}/",
        "http://localhost:{port}/",
    ]

    async def scenario():
        async with Listener() as listener:
            for form in forms:
                url = form.format(port=listener.port)
                assert await fetched(url, networks=everything) == b"secret"
            return listener.num_connections

    assert asyncio.run(scenario()) == len(forms)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "127.0.0.1", "169.254.169.254", "100.64.0.1", "168.63.129.16", "192.0.0.192",
     "198.18.0.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::7f00:1",
     "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1", "3fff::1", "5f00::1",
     "fc00::1", "fe80::1%eth0", "fec0::1", "ff02::1"],
)  # fmt: skip
def test_an_address_that_is_not_public_is_denied(host):
    assert not addresses.is_allowed(host, 443, [])


@pytest.mark.parametrize("host", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_a_public_address_is_allowed_on_ports_80_and_443_only(host):
    assert addresses.is_allowed(host, 80, [])
    assert addresses.is_allowed(host, 443, [])
    assert not addresses.is_allowed(host, 22, [])


class Rebinding(AbstractResolver):
    """Says one address the first time, another one later."""

    def __init__(self, *hosts):
        self.hosts = list(hosts)

    async def resolve(self, host, port=0, family=socket.AF_INET):
        now = self.hosts.pop(0) if len(self.hosts) > 1 else self.hosts[0]
        return [
            {"hostname": host, "host": now, "port": port, "family": socket.AF_INET, "proto": 0,
             "flags": 0}
        ]  # fmt: skip

    async def close(self):
        """Hold nothing."""


def test_a_name_that_changes_its_address_is_checked_each_time():
    resolver = Rebinding("127.0.0.2", "127.0.0.1")

    async def scenario():
        async with Listener() as listener:
            url = f"http://clips.test:{listener.port}/"
            assert await fetched(url, networks=[OPEN], resolver=resolver) == b"secret"
            with pytest.raises(MediaFetchFailed, match="its address is not allowed"):
                await fetched(url, networks=[OPEN], resolver=resolver)
            return listener.num_connections

    assert asyncio.run(scenario()) == 1


def from_site(handler, **changes):
    async def scenario():
        async with site(handler, "127.0.0.2") as address:
            return await fetched(address + "/clip", networks=[OPEN], **changes)

    return asyncio.run(scenario())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_private_address_is_not_followed(status):
    async def scenario():
        async with Listener() as listener:

            async def handler(_):
                headers = {"Location": f"http://127.0.0.1:{listener.port}/"}
                return web.Response(status=status, headers=headers)

            async with site(handler, "127.0.0.2") as address:
                with pytest.raises(MediaFetchFailed, match="its address is not allowed"):
                    await fetched(address + "/clip", networks=[OPEN])
            return listener.num_connections

    assert asyncio.run(scenario()) == 0


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/",
        "file:///etc/passwd",
        "http://a:b@127.0.0.2/",
        "http://",
        "ftp://a/",
    ],
)
def test_a_redirect_is_rejected_like_the_first_url(target):
    async def handler(_):
        return web.Response(status=302, headers={"Location": target})

    with pytest.raises(MediaFetchFailed):
        from_site(handler)


def test_a_redirect_loop_ends_after_three():
    hops = []

    async def handler(request):
        hops.append(request.path)
        return web.Response(status=307, headers={"Location": f"{request.path}x"})

    with pytest.raises(MediaFetchFailed, match="redirects more than 3 times"):
        from_site(handler)
    assert len(hops) == 4


def test_no_cookie_and_no_credential_is_sent():
    seen = []

    async def handler(request):
        seen.append(dict(request.headers))
        if request.path == "/clip":
            return web.Response(
                status=302, headers={"Location": "/again", "Set-Cookie": "a=b; Path=/"}
            )
        return web.Response(body=b"fLaC")

    assert from_site(handler) == b"fLaC"
    assert len(seen) == 2
    assert all(not {"Cookie", "Authorization", "Referer"} & {*headers} for headers in seen)


async def endless(request):
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(bytes(2**16))
    return response


def test_an_endless_body_is_abandoned_at_the_limit():
    with pytest.raises(RequestTooLarge, match="100000 bytes"):
        from_site(endless, max_bytes=100_000)


def test_a_body_over_the_memory_budget_is_abandoned():
    with pytest.raises(Overloaded, match="of 200000 bytes are in use"):
        from_site(endless, max_bytes=10**9, budget_bytes=200_000)


def test_a_slow_body_is_abandoned_at_the_timeout():
    async def drip(request):
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x")
            await asyncio.sleep(0.05)

    with pytest.raises(MediaFetchFailed, match=r"longer than 0\.3 s"):
        from_site(drip, timeout_s=0.3)


def test_concurrent_fetches_are_limited_and_the_others_wait():
    now, most = 0, 0
    everyone = asyncio.Event()

    async def handler(_):
        nonlocal now, most
        now += 1
        most = max(most, now)
        if now == 2:
            everyone.set()
        await everyone.wait()
        now -= 1
        return web.Response(body=b"fLaC")

    async def scenario():
        slots = asyncio.Semaphore(2)
        async with site(handler, "127.0.0.2") as address:
            fetches = [fetched(address, networks=[OPEN], slots=slots) for _ in range(6)]
            return await asyncio.gather(*fetches)

    assert asyncio.run(scenario()) == [b"fLaC"] * 6
    assert most == 2


@pytest.mark.parametrize(
    ("host", "is_one"),
    [
        ("clips.example.org", True),
        ("CLIPS.example.org.", True),
        ("a.cdn.example.org", True),
        ("b.a.cdn.example.org", True),
        ("cdn.example.org", False),
        ("evilcdn.example.org", False),
        ("example.org", False),
        ("clips.example.org.evil.test", False),
        ("127.0.0.1", False),
    ],
)
def test_only_listed_hosts_are_allowed(host, is_one):
    fault = addresses.url_error(
        addresses.URL(f"https://{host}/a.mp3"), ["clips.example.org", "*.cdn.example.org"]
    )
    assert (fault is None) == is_one


def test_a_redirect_to_an_unlisted_host_is_rejected():
    async def handler(_):
        return web.Response(status=302, headers={"Location": "http://other.test/"})

    with pytest.raises(MediaFetchFailed, match=r"one of the allowed hosts: 127\.0\.0\.2"):
        from_site(handler, hosts=["127.0.0.2"])
    with pytest.raises(BadRequest, match="one of the allowed hosts"):
        asyncio.run(fetched("http://127.0.0.2/", networks=[OPEN], hosts=["clips.test"]))
