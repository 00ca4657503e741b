"""What an attacker may send, against a real pod and through a real router.

Names say which published flaw of another server a test keeps out of ours.
"""

import base64
import concurrent.futures
import contextlib
import json
import os
import random
import re
import socket
from pathlib import Path

import httpx2
import pytest
from fakes import processes
from fakes.patience import PATIENCE_S

from flamingo_common import errors

CHAT = "/v1/chat/completions"
MAX_BODY_BYTES = 4_000_000
QUICK = ("--header-timeout-s", "2", "--body-idle-timeout-s", "2", "--write-timeout-s", "2")
DECLARED = {cls.status for cls in errors.BY_CODE.values()} | {200}
UNDECLARED_BUG = 500
SERVICES = ("pod", "router")
GOOD = {"messages": [{"role": "user", "content": "Which key?"}], "max_tokens": 4}


@pytest.fixture(scope="module")
def services(model_cache, tmp_path_factory):
    """A pod and a router with short timeouts, by name."""
    folder = tmp_path_factory.mktemp("threats")
    flags = ("--max-body-bytes", str(MAX_BODY_BYTES), *QUICK)
    pod_flags = ("--model", "flamingo-tiny", *flags)
    with processes.service("flamingo_pod", *pod_flags, log=folder / "pod") as pod:
        processes.wait_until_ready(pod)
        asking = ("--endpoint", pod.address, *flags)
        with processes.service("flamingo_router", *asking, log=folder / "router") as router:
            processes.wait_until_ready(router)
            yield {"pod": pod, "router": router}


@pytest.fixture(params=SERVICES)
def service(request, services):
    """Each of the two in turn; afterwards both still respond as before, without a traceback."""
    before = chat(services["router"]).json()["choices"]
    logged = {name: running.log.stat().st_size for name, running in services.items()}
    yield services[request.param]
    assert chat(services["router"]).json()["choices"] == before
    for name, running in services.items():
        assert b"Traceback" not in running.log.read_bytes()[logged[name] :]


def chat(service, body=None, **how):
    options = {"json": GOOD if body is None else body} if "content" not in how else {}
    return httpx2.post(service.address + CHAT, timeout=PATIENCE_S, **options, **how)


def place(service):
    host, _, port = service.address.removeprefix("http://").rpartition(":")
    return host, int(port)


@contextlib.contextmanager
def connected(service, said=b"", timeout_s=30.0):
    with socket.create_connection(place(service), timeout=timeout_s) as connection:
        connection.sendall(said)
        yield connection


def read_all(connection):
    """Return everything that arrives until the other side closes."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            received += chunk
    return received


def statuses(received):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


def code(answer):
    return answer.json()["error"]["code"]


def memory_bytes(service):
    """Return the peak memory of the process."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def cpu_s(service):
    """Return the CPU time of the process."""
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- row 5: JSON that is too much ------------------------------------------------------


JSONS = {
    "deep": b'{"messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep in what is ignored": b'{"x":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
    "long": json.dumps({"messages": "x" * 3_900_000}).encode(),
    "a long integer": b'{"seed": ' + b"9" * 5000 + b', "messages": []}',
    "a long fraction": b'{"top_p": 0.' + b"1" * 500_000 + b', "messages": []}',
    "not a number": b'{"temperature": NaN, "messages": []}',
    "infinite": b'{"temperature": -Infinity, "messages": []}',
    "many keys": b"{" + b",".join(b'"k%d":0' % n for n in range(200_000)) + b"}",
    "many commas": b'{"messages":[' + b"," * 1_000_000 + b"]}",
    "a lone surrogate": b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    "no UTF-8": b'{"messages": "\xff\xfe"}',
}


@pytest.mark.parametrize("name", JSONS)
def test_excessive_json_is_refused_in_bounded_time(service, name):
    answer = chat(service, content=JSONS[name], headers={"content-type": "application/json"})
    expected = "unknown_parameter" if name == "many keys" else "invalid_request"
    assert (answer.status_code, code(answer)) == (400, expected)
    assert len(answer.content) < 10_000


def test_the_last_of_duplicate_keys_counts(service):
    twice = b'{"max_tokens": 1000000000, "max_tokens": 2, "messages": '
    twice += b'[{"role": "user", "content": "a", "content": "b"}]}'
    answer = chat(service, content=twice, headers={"content-type": "application/json"})
    assert answer.json()["usage"]["completion_tokens"] == 2


# --- row 6: slow and idle --------------------------------------------------------------

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
SLOW = {
    "head": b"GET /v1/models HTTP/1.1\r\nHost: a\r\nX: ",
    "body": HEAD + b"Content-Length: 1000\r\n\r\n{",
    "chunked body": HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "silence": b"",
}


@pytest.mark.parametrize("name", SLOW)
def test_slow_clients_do_not_slow_others_and_are_disconnected(service, name):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(service, SLOW[name])) for _ in range(200)]
        for _ in range(10):
            assert chat(service).status_code == 200
        if name != "silence":  # which a keep-alive connection may be, for longer
            received = [read_all(connection) for connection in slow]
            assert {status for each in received for status in statuses(each)} == {408}


def test_a_client_that_does_not_read_is_disconnected_and_others_are_served(service, clips):
    """A response of megabytes, and a TCP window that never opens."""
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            connection = stack.enter_context(socket.socket())
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(place(service))
            connection.sendall(embedding(clips["notes.mp3"]))
        assert chat(service).status_code == 200


def embedding(clip):
    body = json.dumps({"audio": {"data": base64.b64encode(clip).decode()}}).encode()
    head = b"POST /v1/audio/embeddings HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


# --- row 7: framing --------------------------------------------------------------------

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
GET = b"GET /v1/models HTTP/1.1\r\n"
CHUNKS = POST + b"Transfer-Encoding: chunked\r\n\r\n"
FRAMING = {
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a blank before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks, then identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "bare line feeds": GET + b"Host: a\nX: b\n\n",
    "a line feed in an extension": POST
    + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
    "two hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "no host": GET + b"\r\n",
    "a folded line": GET + b"Host: a\r\nX: a\r\n b\r\n\r\n",
}
SMUGGLED = b"GET /v1/models/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("name", FRAMING)
def test_a_request_with_ambiguous_framing_is_refused_and_nothing_after_it_is_read(service, name):
    with connected(service, FRAMING[name] + SMUGGLED) as connection:
        received = read_all(connection)
    assert statuses(received) == [400]
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_request"
    assert b"smuggled" not in received


GIANTS = {
    "a header": GET + b"Host: a\r\nX: " + b"x" * 9000 + b"\r\n\r\n",
    "an address": b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "many headers": GET + b"Host: a\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    "a header without end": GET + b"Host: a\r\nX: " + b"x" * 5_000_000,
}


@pytest.mark.parametrize("name", GIANTS)
def test_cve_2025_48956_a_giant_head_is_refused_and_costs_no_memory(service, name):
    before = memory_bytes(service)
    with connected(service) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(GIANTS[name])
        received = read_all(connection)
    assert statuses(received) in ([400], [])
    assert memory_bytes(service) - before < 20e6


def chunks_of(body, size):
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def test_cve_2025_23310_tiny_chunks_cost_in_proportion_to_their_size(service):
    """A million chunks of one byte, and then a request on the same connection."""
    body = json.dumps(GOOD | {"user": "x" * 100}).encode()
    body += b" " * (1_000_000 - len(body))
    before = memory_bytes(service)
    with connected(service, timeout_s=60) as connection:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks_of(body, 1))
        connection.sendall(GET + b"Host: a\r\nConnection: close\r\n\r\n")
        received = read_all(connection)
    assert statuses(received) == [200, 200]
    assert memory_bytes(service) - before < 200e6


def test_responses_match_their_requests_whatever_comes_between(service):
    """Pipelined, kept alive, after bodies of odd framing: no request gets another's response."""

    def ask(number):
        rng = random.Random(number)
        names = [f"model-{number}-{turn}" for turn in range(8)]
        with connected(service) as connection:
            for name in names:
                body = json.dumps({"model": name, "messages": [{"role": "user", "content": "a"}]})
                framed = chunks_of(body.encode(), rng.choice([1, 7, 1000]))
                said = HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + framed
                cut = rng.randrange(len(said))
                connection.sendall(said[:cut])
                connection.sendall(said[cut:])
            connection.sendall(GET + b"Host: a\r\nConnection: close\r\n\r\n")
            received = read_all(connection).decode()
        return re.findall(r"model '([\w-]+)' is not served", received) == names

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(40)))


def test_hop_by_hop_headers_stay_on_their_hop(services):
    headers = {"Connection": "x-secret, close", "X-Secret": "1", "TE": "trailers", "Upgrade": "h2c"}
    assert chat(services["router"], headers=headers).status_code == 200


# --- rows 10 to 12, and what others have learnt -------------------------------------------


def test_cve_2026_34756_n_is_bounded(service):
    for n in (9, 10**9, 2**63, -1, 0):
        answer = chat(service, GOOD | {"n": n})
        assert (answer.status_code, code(answer)) == (400, "invalid_request")


@pytest.mark.parametrize("text", ["<sound>", "<|sound_bos|>", "<|sound_eos|>", "<|im_start|>"])
def test_cve_2026_44222_tokens_of_the_models_own_cannot_be_written(service, text):
    for content in (text, text * 1000):
        answer = chat(service, {"messages": [{"role": "user", "content": content}]})
        assert (answer.status_code, code(answer)) == (400, "invalid_request")


def test_cve_2025_62426_the_template_cannot_be_reached(service):
    kwargs = {"tokenize": True, "chat_template": "{% for i in range(10**9) %}{% endfor %}"}
    asked = GOOD | {"chat_template_kwargs": kwargs, "chat_template": kwargs["chat_template"]}
    answer = chat(service, asked)
    assert (answer.status_code, code(answer)) == (400, "unsupported_parameter")


BAD_SCHEMAS = ({"pattern": "(" * 5000}, {"type": "none"}, {"$ref": "#/a"}, {"pattern": "(a+)+$"})


def test_cve_2025_48944_an_invalid_grammar_fails_only_its_own_request(service):
    for schema in (
        {"pattern": "(" * 5000},
        {"type": "no such"},
        {"$ref": "#/a"},
        {"pattern": "(a+)+$"},
    ):
        wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        assert chat(service, GOOD | {"response_format": wanted}).status_code in (200, 400)
        tool = {"type": "function", "function": {"name": "a", "parameters": schema}}
        demanded = {"tools": [tool], "tool_choice": "required"}
        assert chat(service, GOOD | demanded).status_code in (200, 400)
    for wanted in (
        {"regex": "(" * 5000},
        {"regex": "((a{100}){100}){100}"},
        {"regex": "(.*a.{20}|.*b.{30})"},
        {"grammar": "root ::= " + "(" * 5000},
        {"grammar": "start: start"},
        {"choice": ["\0", "\ufffe"]},
    ):
        assert chat(service, GOOD | {"structured_outputs": wanted}).status_code in (200, 400)


def test_cve_2026_5497_the_parts_of_a_request_are_bounded(service):
    part = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    answer = chat(service, {"messages": [{"role": "user", "content": [part] * 10_000}]})
    assert (answer.status_code, code(answer)) == (400, "invalid_request")


def test_cve_2026_22778_an_error_reveals_nothing_of_a_library(service):
    for data in (b"RIFF\xff\xff\xff\xffWAVEfmt ", b"fLaC" + b"\0" * 99, b"OggS" * 9, b"\x89PNG"):
        audio = {"data": base64.b64encode(data).decode()}
        received = httpx2.post(
            service.address + "/v1/audio/captions", json={"audio": audio}, timeout=PATIENCE_S
        ).text
        assert json.loads(received)["error"]["code"] == "invalid_audio"
        assert not re.search(r"0x[0-9a-f]{6,}|/\w+/\w+|\bav\.|libsnd|Errno|psm_|Error\b", received)


FORM = {"content-type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="a%d"\r\n\r\n%s\r\n'
FORMS = {
    "many parts": (b"".join(PART % (n, b"") for n in range(10_000)), 400),
    "a large field": (PART % (0, b"x" * 2_000_000) + b"--x--\r\n", 413),
    "nested": (b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y--\r\n--x--", 400),
    "giant part headers": (b"--x\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n\r\n--x--", 400),
    "no end": (b"--x\r\n" + b"A: b\r\n" * 100_000, 400),
    "a preamble": (b"x\r\n" * 1_300_000, 400),
}


@pytest.mark.parametrize("name", FORMS)
def test_cve_2025_69228_a_form_is_bounded_in_every_direction(service, name):
    content, status = FORMS[name]
    before = memory_bytes(service)
    spent_s = cpu_s(service)
    answer = httpx2.post(
        service.address + "/v1/audio/captions", content=content, headers=FORM, timeout=PATIENCE_S
    )
    assert answer.status_code == status
    assert cpu_s(service) - spent_s < 1.5  # a million lines, one by one, take twice that
    assert memory_bytes(service) - before < 100e6


def mutated(rng, seed):
    """Return `seed` with a few of its bytes changed, cut, doubled or moved."""
    said = bytearray(seed)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(said) or 1)
        match rng.randrange(5):
            case 0:
                said[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del said[at : at + rng.randrange(1, 20)]
            case 2:
                said[at:at] = said[at : at + rng.randrange(1, 50)]
            case 3:
                said[at:at] = rng.choice([b"\r\n", b"\0", b'"', b"{", b"9" * 20, b": ", b"\xff"])
            case _:
                said = said[at:] + said[:at]
    return bytes(said)


def test_cve_2025_23319_thousands_of_mutants_never_find_a_bug(service, clips):
    """No 5xx but the declared ones, never 500; the engine keeps running."""
    body = json.dumps(GOOD | {"stream": True, "stop": ["x"], "seed": 1, "n": 2}).encode()
    seeds = [
        HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body,
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks_of(body, 50),
        embedding(clips["notes.ogg"][:2000]),
        GET + b"Host: a\r\n\r\n",
    ]

    def attack(number):
        rng = random.Random(number)
        seed = rng.choice(seeds)
        head, _, rest = seed.partition(b"\r\n\r\n")
        # Half of them keep their framing, so that what is inside is read too.
        inner = mutated(rng, rest) if rest and number % 2 else rest
        head = re.sub(rb"Content-Length: \d+", b"Content-Length: %d" % len(inner), head)
        said = head + b"\r\n\r\n" + inner if number % 2 else mutated(rng, seed)
        with connected(service, timeout_s=20) as connection:
            with contextlib.suppress(ConnectionError):
                connection.sendall(said)
                if number % 3:  # the others wait for a response, however long it takes
                    connection.shutdown(socket.SHUT_WR)
                return statuses(connection.recv(200))
            return []

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = {status for each in pool.map(attack, range(NUM_MUTANTS)) for status in each}
    assert found <= DECLARED - {UNDECLARED_BUG} | {417}


NUM_MUTANTS = int(os.environ.get("FLAMINGO_TEST_MUTANTS", "600"))
"""For each service; a nightly run uses more."""


# --- row 20: logs -----------------------------------------------------------------------


def test_a_flood_of_bad_requests_is_logged_in_few_lines(service):
    before = service.log.stat().st_size
    with connected(service) as connection:
        for _ in range(300):
            connection.sendall((b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n") * 10)
            while connection.recv(65536).count(b"HTTP/1.1 404") == 0:
                pass
    for _ in range(200):
        with connected(service, b"NO HTTP\r\n\r\n") as connection:
            read_all(connection)
    assert service.log.stat().st_size - before < 400_000
