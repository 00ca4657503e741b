"""Why a clip could not be fetched, in plain words, by a fetcher against real servers."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
from ipaddress import ip_network

import aiohttp
import pytest
from aiohttp import web
from fakes.sites import site

from flamingo_common.errors import BadRequest, MediaFetchFailed
from flamingo_common.service import fetch_errors
from flamingo_pod.audio.fetch import Fetcher
from flamingo_pod.audio.memory_budget import MemoryBudget

LOOPBACK = [ip_network("127.0.0.0/8")]


async def fetched(url, **changes):
    fields = {"is_enabled": True, "networks": LOOPBACK, "timeout_s": 5.0, "hosts": ()}
    slots = asyncio.Semaphore(4)
    fetcher = Fetcher(**(fields | {"max_bytes": 10_000, "slots": slots} | changes))
    with MemoryBudget(10**6).reservation() as reservation:
        file = await fetcher.fetch(url, reservation)
        return file.read_and_close()


def reason(url, kind=MediaFetchFailed, **changes):
    with pytest.raises(kind) as caught:
        asyncio.run(fetched(url, **changes))
    assert "\n" not in caught.value.message
    return caught.value.message


def reason_from(handler, path="/clip.mp3"):
    async def scenario():
        async with site(handler) as address:
            await fetched(address + path)

    with pytest.raises(MediaFetchFailed) as caught:
        asyncio.run(scenario())
    return caught.value.message


def reason_from_bytes(*received, kind=MediaFetchFailed):
    """Return why a fetch fails from a server that sends these bytes and closes."""

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(received))
        await writer.drain()
        writer.close()

    async def scenario():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            await fetched(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.mp3")

    with pytest.raises(kind) as caught:
        asyncio.run(scenario())
    return caught.value.message


def test_a_host_that_does_not_exist_is_named():
    assert "the host no-such-host.invalid could not be resolved" in reason(
        "http://no-such-host.invalid/a.mp3"
    )


def test_a_label_that_is_too_long_is_refused_before_anything_is_fetched():
    with pytest.raises(BadRequest) as caught:
        asyncio.run(fetched(f"http://{'a' * 70}.org/a.mp3"))
    assert "aaaa" in caught.value.message
    assert caught.value.param == "url"


def test_a_refused_connection_names_the_host_and_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and not listening
        port = taken.getsockname()[1]
        message = reason(f"http://127.0.0.1:{port}/")
    assert f"127.0.0.1 refused the connection to port {port}" in message


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://10.0.0.1/", "its address is not allowed, because it is not public"),
        ("http://169.254.169.254/", "its address is not allowed"),
        ("http://8.8.8.8:8080/", "its port 8080 is not allowed; the allowed ports are 80 and 443"),
    ],
)
def test_an_address_that_is_not_allowed_is_told_with_the_rule(url, says):
    assert says in reason(url, networks=[])


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("clip.mp3", "has no scheme"),
        ("//example.org/a.mp3", "has no scheme"),
        ("example.org/a.mp3", "has no scheme"),
        ("ftp://example.org/a.mp3", "has the scheme ftp"),
        ("s3://bucket/a.mp3", "has the scheme s3, but must be an http(s) or data: URL; create a"),
        ("gs://bucket/a.mp3", "create a signed https URL of the object"),
        ("https://xn--a.com/a.mp3", "has a host that is not a valid name: 'xn--a.com'"),
        ("https://me:word@אa.com/a.mp3", "has a host that is not a valid name: 'אa.com'"),
        ("http://a..com/a.mp3", "has a host that is not a valid name: 'a..com'"),
        (f"http://{'a' * 64}.com/a.mp3", "has a host that is not a valid name"),
        ("file:///etc/passwd", "send the file itself"),
        ("http://", "has no host"),
        ("https:///a.mp3", "has no host"),
        ("http://example.org:0/a.mp3", "has the port 0"),
        ("http://example.org:abc/", "is not a valid http(s) URL"),
        ("http://example.org:70000/", "is not a valid http(s) URL"),
        ("http://[::1/a.mp3", "is not a valid http(s) URL"),
        ("http://[fe80::1%25lo]/a.mp3", "must not have an IPv6 zone"),
        ("https://me@example.org/a.mp3", "must not have a user name or password"),
        ("https://me:word@example.org/a.mp3", "must not have a user name or password"),
    ],
)
def test_a_url_that_cannot_be_fetched_is_told_why(url, says):
    message = reason(url, kind=BadRequest)
    assert says in message
    assert "word" not in message.replace("password", "")


def test_a_url_may_have_blanks_around_it():
    async def clip(_):
        return web.Response(body=b"fLaC")

    async def scenario():
        async with site(clip) as address:
            return await fetched(f" {address}/a.flac\n")

    assert asyncio.run(scenario()) == b"fLaC"


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "status 401 (Unauthorized)"),
        (403, "status 403 (Forbidden)"),
        (404, "status 404 (Not Found)"),
        (204, "status 204 (No Content)"),
        (500, "status 500 (Internal Server Error)"),
        (599, "status 599"),
    ],
)
def test_an_error_response_is_told_by_its_status(status, says):
    async def handler(_):
        return web.Response(status=status)

    assert says in reason_from(handler)


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("/clip.mp3", "it redirects in a circle"),
        ("ftp://example.org/", "it redirects to a URL that has the scheme ftp"),
        ("http://[::1", "it redirects to what is not a valid URL"),
        ("http://me@example.org/", "it redirects to a URL that must not have a user name"),
        (None, "it redirects without saying where to"),
    ],
)
def test_a_redirect_that_is_not_followed_is_told(location, says):
    async def handler(_):
        headers = {} if location is None else {"Location": location}
        return web.Response(status=302, headers=headers)

    assert says in reason_from(handler)


def test_too_many_redirects_are_told_with_the_limit():
    async def handler(request):
        raise web.HTTPFound(f"{request.path}x")

    assert "it redirects more than 3 times" in reason_from(handler)


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html></html>",
        b"\xef\xbb\xbf\r\n <HTML lang=en>",
        b"<!-- sign in -->\n<!doctype html>",
    ],
)
def test_a_page_instead_of_a_clip_is_told(page):
    async def handler(_):
        return web.Response(body=page, content_type="audio/mpeg")

    assert "an HTML page, not audio" in reason_from(handler)


@pytest.mark.parametrize(
    ("received", "says"),
    [
        (b"", "closed the connection without a response"),
        (b"SSH-2.0-OpenSSH_9\r\n", "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfLaC", "before the whole file had arrived"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", "not valid HTTP"),
    ],
)
def test_a_server_that_breaks_off_is_told(received, says):
    assert says in reason_from_bytes(received)


def test_a_server_without_tls_is_told():
    async def clip(_):
        return web.Response(body=b"fLaC")

    async def scenario():
        async with site(clip) as address:
            await fetched(address.replace("http://", "https://"))

    with pytest.raises(MediaFetchFailed, match=r"127\.0\.0\.1 does not use TLS on port"):
        asyncio.run(scenario())


CERTIFICATES = [
    pytest.param("DNS:localhost", "3", False, "is self-signed", id="self-signed"),
    pytest.param("DNS:localhost", "-1", True, "has expired", id="expired"),
    pytest.param("DNS:other.test", "3", True, "is for another host name", id="other name"),
]


@pytest.mark.parametrize(("name", "days", "is_trusted", "says"), CERTIFICATES)
def test_a_certificate_that_is_not_valid_is_told(tmp_path, name, days, is_trusted, says):
    certificate, key = certify(tmp_path, name, days)
    trusting = ssl.create_default_context(cafile=certificate if is_trusted else None)

    async def scenario():
        async with tls_site(certificate, key) as port, aiohttp.ClientSession() as session:
            await session.get(f"https://localhost:{port}/", ssl=trusting)

    with pytest.raises(aiohttp.ClientError) as caught:
        asyncio.run(scenario())
    explained = fetch_errors.explain(caught.value)
    assert explained == f"the TLS certificate of localhost {says}"


def test_a_fetcher_names_the_host_of_a_certificate(tmp_path):
    certificate, key = certify(tmp_path, "DNS:localhost", "3")

    async def scenario():
        async with tls_site(certificate, key) as port:
            await fetched(f"https://localhost:{port}/a.mp3")

    with pytest.raises(MediaFetchFailed, match="certificate of localhost is self-signed"):
        asyncio.run(scenario())


def certify(folder, name, days):
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3"]
    made += ["-keyout", key, "-out", certificate, "-subj", "/CN=x", "-addext"]
    subprocess.run([*made, f"subjectAltName={name}"], check=True, capture_output=True)
    again = ["openssl", "x509", "-in", certificate, "-signkey", key, "-days", days]
    subprocess.run([*again, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@contextlib.asynccontextmanager
async def tls_site(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
