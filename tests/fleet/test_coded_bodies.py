"""Bodies with a content coding, at a real pod and a real router: refused, and never unpacked."""

import concurrent.futures
import gzip
import http.client
import json
import re
import socket
from pathlib import Path

import httpx2
import pytest
from fakes import processes
from fakes.patience import PATIENCE_S

CHAT, CAPTIONS = "/v1/chat/completions", "/v1/audio/captions"
MEBIBYTE = 2**20
BOMB = gzip.compress(bytes(MEBIBYTE)) * 1000
"""A megabyte that unpacks to a gigabyte."""
PYTHON_PARSER = {"AIOHTTP_NO_EXTENSIONS": "1"}
CODINGS = [
    "gzip",
    "GZip",
    "x-gzip",
    "deflate",
    "br",
    "zstd",
    "compress",
    "x-nothing",
    "gzip, gzip",
    "identity, br",
    "identity;q=1",
    "\xff",
]


@pytest.fixture(scope="module")
def services(model_cache, tmp_path_factory):
    """A pod, a router, and a router with aiohttp's parser in Python, by name."""
    folder = tmp_path_factory.mktemp("coded")
    with processes.service("flamingo_pod", "--model", "flamingo-tiny", log=folder / "pod") as pod:
        processes.wait_until_ready(pod)
        asking = ("--endpoint", pod.address)
        with (
            processes.service("flamingo_router", *asking, log=folder / "router") as router,
            processes.service(
                "flamingo_router", *asking, log=folder / "python", environ=PYTHON_PARSER
            ) as python,
        ):
            for each in (router, python):
                processes.wait_until_ready(each)
            yield {"pod": pod, "router": router, "router with the Python parser": python}


@pytest.fixture(params=["pod", "router", "router with the Python parser"])
def service(request, services):
    return services[request.param]


def post(service, *lines, path=CHAT, body=b"\x1f\x8b"):
    headers = [("content-type", "application/json"), *(("content-encoding", one) for one in lines)]
    encoded = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return httpx2.post(service.address + path, content=body, headers=encoded, timeout=PATIENCE_S)


def is_refused(answer):
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (415, "unsupported_media_type")
    assert answer.headers["accept-encoding"] == "identity"
    assert answer.headers["x-should-retry"] == "false"
    assert "Content-Encoding: identity" in error["message"]
    return error["message"]


@pytest.mark.parametrize("coding", CODINGS)
def test_every_coding_but_identity_is_refused_by_name(service, coding):
    message = is_refused(post(service, coding))
    named = coding.lower().removeprefix("identity, ").encode("ascii", "backslashreplace").decode()
    assert f"has Content-Encoding: {named}" in message or "\\udcff" in message


def test_several_lines_of_the_header_are_one_list(service):
    assert "Content-Encoding: gzip, br;" in is_refused(post(service, "gzip", "identity", "br"))


@pytest.mark.parametrize("lines", [["identity"], ["Identity", "identity ,"], ["identity,"]])
def test_identity_is_no_coding(service, lines):
    body = {"messages": [{"role": "user", "content": "Which key?"}], "max_tokens": 2}
    assert post(service, *lines, body=json.dumps(body).encode()).status_code == 200


@pytest.mark.parametrize("path", ["/v1/models", "/health/ready", "/metrics", "/nothing"])
def test_a_request_without_a_body_is_refused_too(service, path):
    answer = httpx2.get(
        service.address + path, headers={"content-encoding": "gzip"}, timeout=PATIENCE_S
    )
    is_refused(answer)


def test_the_refusal_comes_before_the_body(service):
    host, _, port = service.address.removeprefix("http://").rpartition(":")
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 972000\r\n"
    )
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(f"{head}\r\n".encode())
        assert connection.recv(65536).startswith(b"HTTP/1.1 415 ")


def test_bombs_are_not_unpacked_and_others_are_answered_beside_them(service):
    before = peak_bytes(service)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        posted = [pool.submit(post, service, "gzip", body=BOMB) for _ in range(4)]
        lives = [
            httpx2.get(f"{service.address}/health/live", timeout=PATIENCE_S).status_code
            for _ in range(20)
        ]
        for each in posted:
            is_refused(each.result())
    assert set(lives) == {200}
    assert peak_bytes(service) - before < 16 * MEBIBYTE


def peak_bytes(service):
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def form(header, name="file"):
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="a.wav"'
    return f"--b\r\n{disposition}\r\n{header}\r\n\r\n".encode() + BOMB + b"\r\n--b--\r\n"


@pytest.mark.parametrize("name", ["file", "request", "prompt"])
@pytest.mark.parametrize("coding", ["gzip", "BR", "identity, deflate"])
def test_a_part_of_a_form_with_a_coding_is_refused_by_its_name(service, name, coding):
    body = form(f"Content-Encoding: {coding}", name)
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = httpx2.post(
        service.address + CAPTIONS, content=body, headers=headers, timeout=PATIENCE_S
    )
    assert f"the part '{name}' of the form has" in is_refused(answer)


ENOUGH_BYTES = 200_000
"""A router chooses a pod by the first 64 KiB of a file."""
PART_HEADERS = ["Content-Encoding: gzip", "Content-Transfer-Encoding: base64"]


@pytest.mark.parametrize("header", PART_HEADERS)
@pytest.mark.parametrize("size", ["content-length: 100000000", "transfer-encoding: chunked"])
def test_the_refusal_of_a_part_comes_before_the_rest_of_its_contents(service, header, size):
    start = form(header)[:ENOUGH_BYTES]
    if "chunked" in size:
        start = b"%x\r\n%b\r\n" % (len(start), start)
    host, _, port = service.address.removeprefix("http://").rpartition(":")
    head = f"POST {CAPTIONS} HTTP/1.1\r\nHost: a\r\n{size}\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode() + start)
        answer = http.client.HTTPResponse(connection, method="POST")
        answer.begin()
        error = json.loads(answer.read())["error"]
    assert (answer.status, error["code"]) == (415, "unsupported_media_type")
    assert error["message"].startswith(f"the part 'file' of the form has {header}")
    assert answer.getheader("x-request-id")


@pytest.mark.parametrize("header", PART_HEADERS)
def test_the_coded_part_that_is_not_the_first_is_the_one_that_is_named(service, header):
    plain = b'--b\r\nContent-Disposition: form-data; name="style"\r\n\r\nbrief\r\n'
    headers = {"content-type": "multipart/form-data; boundary=b"}
    body = plain + form(header, "request")
    answer = httpx2.post(
        service.address + CAPTIONS, content=body, headers=headers, timeout=PATIENCE_S
    )
    assert answer.status_code == 415
    assert "the part 'request' of the form has" in answer.json()["error"]["message"]


@pytest.mark.parametrize("encoding", ["base64", "Quoted-Printable", "x-uuencode"])
def test_a_part_with_a_transfer_encoding_is_refused(service, encoding):
    body = form(f"Content-Transfer-Encoding: {encoding}")
    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = httpx2.post(
        service.address + CAPTIONS, content=body, headers=headers, timeout=PATIENCE_S
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (415, "unsupported_media_type")
    assert f"Content-Transfer-Encoding: {encoding.lower()}" in error["message"]
    assert "accept-encoding" not in answer.headers


@pytest.mark.parametrize("coding", ["gzip, chunked", "x-nothing, chunked", "identity, chunked"])
def test_a_transfer_coding_but_chunked_is_refused(service, coding):
    host, _, port = service.address.removeprefix("http://").rpartition(":")
    head = f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(f"{head}0\r\n\r\n".encode())
        received = connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 415 ")
    assert b"accept-encoding" not in received.lower()
