"""Commands behind a proxy, as in a company: real sockets, CONNECT and certificates."""

import asyncio
import contextlib
import ssl
import subprocess

import pytest
from aiohttp import web
from fakes import http_proxy, pods
from fakes.command_line import flamingo
from fakes.http_proxy import FakeProxy

FLEET = "http://fleet.example.invalid"
UNSET = dict.fromkeys(["no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"], "")


def proxied(*args, proxy, variable="HTTP_PROXY", url=FLEET, proxy_url=None, **more):
    """Run `flamingo args…` with `proxy` in the environment."""
    environ = {"no_proxy": "", variable: proxy_url or proxy.url, **more}
    return flamingo(*args, pod=proxy.target, url=url, environ=environ)


@pytest.fixture
def proxy():
    with http_proxy.running(FakeProxy(pods.FakePod())) as running:
        yield running


@pytest.fixture
def song(tmp_path):
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3, let us say")
    return str(path)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_request_goes_through_the_proxy(proxy, song, variable):
    done = proxied("caption", song, proxy=proxy, variable=variable, FLAMINGO_API_KEY="sk-1")

    assert (done.status, done.out, done.err) == (0, b"a quiet song\n", b"")
    assert proxy.request_lines == [f"POST {FLEET}/v1/audio/captions HTTP/1.1"]
    assert proxy.target.header_values("authorization") == ["Bearer sk-1"]


def test_proxy_is_given_its_credentials_and_the_fleet_is_not(proxy, song):
    proxy.credentials = "me:p@ss"
    with_credentials = proxy.url.replace("//", "//me:p%40ss@")

    done = proxied("caption", song, proxy=proxy, proxy_url=with_credentials)
    refused = proxied("caption", song, proxy=proxy)

    assert (done.status, done.out, done.err) == (0, b"a quiet song\n", b"")
    assert refused.status == 1
    assert len(refused.errors) == 1
    assert "requires authentication (HTTP 407): set HTTP_PROXY to" in refused.errors[0]


def test_netrc_does_not_take_the_place_of_the_key(proxy, song, tmp_path):
    (tmp_path / ".netrc").write_text("default login me password s3cret\n")
    (tmp_path / ".netrc").chmod(0o600)

    proxied("caption", song, proxy=proxy, FLAMINGO_API_KEY="sk-1", HOME=str(tmp_path))
    proxied("caption", song, proxy=proxy, HOME=str(tmp_path))

    assert proxy.target.header_values("authorization") == ["Bearer sk-1", None]


@pytest.mark.parametrize("no_proxy", ["127.0.0.1", "", "*"])
def test_local_fleet_is_reached_without_the_proxy(proxy, song, no_proxy):
    environ = {"HTTP_PROXY": proxy.url, "ALL_PROXY": proxy.url, "no_proxy": no_proxy}

    done = flamingo("caption", song, environ=environ)

    assert (done.status, done.out, done.err) == (0, b"a quiet song\n", b"")
    assert proxy.request_lines == []


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("502 Bad Gateway", "HTTP 502"),
        ("503 Service Unavailable", "HTTP 503"),
        ("403 Forbidden", "HTTP 403"),
    ],
)
def test_refusal_of_the_proxy_is_one_line_that_names_it(proxy, song, status, says):
    proxy.refuses_with = status

    for url in (FLEET, "https://fleet.example.invalid"):
        done = proxied("caption", song, proxy=proxy, variable="ALL_PROXY", url=url)

        assert (done.status, done.out, len(done.errors)) == (1, b"", 1)
        assert says in done.errors[0]
        assert f"the proxy {proxy.url}" in done.errors[0]
        assert "ALL_PROXY" in done.errors[0] or url == FLEET


def test_unreachable_proxy_is_one_line_that_names_it(song):
    environ = {"http_proxy": "http://me:s3cret@127.0.0.1:1", "no_proxy": ""}

    done = flamingo("caption", song, url=FLEET, environ=environ)

    assert done.status == 1
    [line] = done.errors
    assert "cannot connect to the proxy http://127.0.0.1:1 (connection refused)" in line
    assert "http_proxy" in line
    assert "s3cret" not in line


def test_url_of_a_clip_goes_through_the_proxy_too(proxy):
    done = proxied("caption", f"{FLEET}/health/ready", proxy=proxy, url=FLEET)

    assert (done.status, done.out) == (0, b"a quiet song\n")
    assert proxy.request_lines[0] == f"GET {FLEET}/health/ready HTTP/1.1"


def test_socks_proxy_is_refused_in_one_line(song):
    done = flamingo("caption", song, url=FLEET, environ={"ALL_PROXY": "socks5://p", "no_proxy": ""})

    assert done.status == 1
    assert done.errors[0].startswith("flamingo: ALL_PROXY: 'socks5://p' is a SOCKS proxy")


@contextlib.asynccontextmanager
async def secure(pod, certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    runner = web.AppRunner(pod.app(), access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    pod.address = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of a company's own CA for the fleet, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    name = "fleet.example.invalid"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj"]
    made += [f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    made += ["-keyout", folder / "key.pem", "-out", folder / "certificate.pem"]
    subprocess.run(made, check=True, capture_output=True)
    return folder / "certificate.pem", folder / "key.pem"


@pytest.fixture
def secure_proxy(proxy, certificate):
    """The proxy, with a pod behind it that serves HTTPS from this thread's loop."""

    class Target:
        address = ""

    target, pod = Target(), pods.FakePod()
    proxy.target, proxy.pod = target, pod

    def run(*args, **environ):
        async def scenario():
            async with secure(pod, *certificate):
                target.address = pod.address
                return await asyncio.to_thread(
                    flamingo,
                    *args,
                    url="https://fleet.example.invalid",
                    environ={"HTTPS_PROXY": proxy.url, **UNSET, **environ},
                )

        return asyncio.run(scenario())

    return run


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_https_goes_through_a_tunnel_with_the_certificates_of_the_environment(
    proxy, secure_proxy, certificate, song, variable
):
    proxy.credentials = "me:pw"
    environ = {"HTTPS_PROXY": proxy.url.replace("//", "//me:pw@"), "FLAMINGO_API_KEY": "sk-1"}

    done = secure_proxy("caption", song, **environ, **{variable: str(certificate[0])})

    assert (done.status, done.out, done.err) == (0, b"a quiet song\n", b"")
    assert proxy.request_lines == ["CONNECT fleet.example.invalid:443 HTTP/1.1"]
    assert "sk-1" not in proxy.heads[0]
    assert proxy.pod.header_values("proxy-authorization") == [None]
    assert proxy.pod.header_values("authorization") == ["Bearer sk-1"]


def test_certificate_that_is_not_trusted_is_one_line_with_what_to_do(secure_proxy, song):
    done = secure_proxy("caption", song)

    assert (done.status, len(done.errors)) == (1, 1)
    assert "the TLS certificate of fleet.example.invalid is self-signed" in done.errors[0]
    assert "SSL_CERT_FILE" in done.errors[0]


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR"])
def test_missing_certificates_are_named(secure_proxy, song, variable):
    done = secure_proxy("caption", song, **{variable: "/nowhere/ca.pem"})

    assert (done.status, len(done.errors)) == (1, 1)
    reason = "cannot read certificates from /nowhere/ca.pem: no such file or directory"
    assert done.errors[0] == f"flamingo: {variable}: {reason}"
