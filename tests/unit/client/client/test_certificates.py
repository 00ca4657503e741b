"""Servers whose certificates the client does not accept: real sockets and TLS."""

import asyncio
import contextlib
import ssl
import subprocess

import pytest
from aiohttp import web
from fakes import pods
from fakes.command_line import flamingo

from flamingo import AsyncFlamingoClient, TlsFailed
from flamingo_common import errors

UNSET = dict.fromkeys(["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"], "")


@pytest.fixture(autouse=True)
def no_certificates_of_the_environment(monkeypatch):
    for variable in UNSET:
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def certify(tmp_path_factory):
    """Return a function that makes a self-signed certificate for a name, with its key."""

    def make(name):
        folder = tmp_path_factory.mktemp("tls")
        made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
        made += ["-subj", "/CN=x", "-addext", f"subjectAltName={name}"]
        made += ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
        subprocess.run(made, check=True, capture_output=True)
        return folder / "certificate.pem", folder / "key.pem"

    return make


@contextlib.asynccontextmanager
async def secure(app, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield f"https://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def failure_of(address_of):
    """Return the error of a request to the server that `address_of` runs, and its delays."""
    delays = []

    async def sleep(seconds):
        delays.append(seconds)

    async def scenario():
        async with address_of() as address, AsyncFlamingoClient(address, sleep=sleep) as client:
            with pytest.raises(TlsFailed) as caught:
                await client.caption(b"RIFF")
            return caught.value.message

    return asyncio.run(scenario()), delays


def test_a_certificate_of_an_unknown_authority_is_answered_with_ssl_cert_file(certify):
    pair = certify("IP:127.0.0.1")

    message, delays = failure_of(lambda: secure(pods.FakePod().app(), *pair))

    assert message.startswith("cannot connect to https://127.0.0.1:")
    assert "the TLS certificate of 127.0.0.1 is self-signed" in message
    assert "set SSL_CERT_FILE to a PEM file" in message
    assert "flamingo up" not in message
    assert delays == []


def test_a_certificate_for_another_host_is_answered_with_the_url(certify, monkeypatch):
    pair = certify("DNS:fleet.example.invalid")
    monkeypatch.setenv("SSL_CERT_FILE", str(pair[0]))

    message, delays = failure_of(lambda: secure(pods.FakePod().app(), *pair))

    assert "the TLS certificate of 127.0.0.1 is for another address" in message
    assert "check its URL (--url, base_url or FLAMINGO_URL)" in message
    assert "SSL_CERT_FILE" not in message
    assert delays == []


def test_a_server_without_tls_is_answered_with_the_scheme():
    @contextlib.asynccontextmanager
    async def plain():
        async with pods.running(pods.FakePod()) as address:
            yield address.replace("http:", "https:")

    message, delays = failure_of(plain)

    assert "127.0.0.1 does not use TLS on port" in message
    assert "is it an http: URL?" in message
    assert "flamingo up" not in message
    assert delays == []


@pytest.mark.parametrize("command", ["models", "caption"])
def test_a_command_says_it_in_one_line(certify, tmp_path, command):
    song = tmp_path / "song.mp3"
    song.write_bytes(b"ID3, let us say")
    pair = certify("IP:127.0.0.1")

    async def scenario():
        async with secure(pods.FakePod().app(), *pair) as url:
            args = [command, *([song] if command == "caption" else [])]
            return await asyncio.to_thread(flamingo, *args, url=url, environ=UNSET)

    done = asyncio.run(scenario())

    assert (done.status, done.out, len(done.errors)) == (1, b"", 1)
    assert "SSL_CERT_FILE" in done.errors[0]
    assert "start a fleet" not in done.errors[0]


def test_a_clip_from_a_host_that_is_not_trusted_is_answered_with_ssl_cert_file(certify):
    pair = certify("IP:127.0.0.1")

    async def scenario():
        async with (
            secure(web.Application(), *pair) as files,
            pods.running(pods.FakePod()) as address,
            AsyncFlamingoClient(address) as client,
        ):
            await client.caption(f"{files}/song.mp3")

    with pytest.raises(errors.MediaFetchFailed, match=r"is self-signed; .*set SSL_CERT_FILE"):
        asyncio.run(scenario())
