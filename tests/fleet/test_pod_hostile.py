"""Hostile files, in every kind of request and on every route, against one real pod."""

import base64
import contextlib
import http.server
import os
import signal
import socket
import threading
import time
import urllib.parse
from pathlib import Path

import httpx2
import pytest
from clips import hostile
from fakes import processes
from fakes.patience import PATIENCE_S

MIB = 2**20
MAX_BODY = 300 * MIB
ROUTES = {
    "chat": "/v1/chat/completions",
    "captions": "/v1/audio/captions",
    "embeddings": "/v1/audio/embeddings",
}
FLAGS = {
    "--model": "flamingo-tiny",
    "--max-audio-s": str(hostile.MAX_S),
    "--max-body-bytes": str(MAX_BODY),
    "--max-request-memory-bytes": str(MAX_BODY + 100 * MIB),
    "--fetch-allowed-networks": "127.0.0.1/32",
}


@pytest.fixture(scope="module")
def pod(model_cache, tmp_path_factory):
    flags = [word for flag in FLAGS.items() for word in flag]
    log = tmp_path_factory.mktemp("hostile") / "log"
    with processes.service("flamingo_pod", *flags, log=log) as running:
        processes.wait_until_ready(running)
        yield running


@pytest.fixture
def http_client(pod):
    with httpx2.Client(base_url=pod.address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def site():
    """Serve every hostile file on loopback, by its name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = hostile.files()[urllib.parse.unquote(self.path[1:])].data
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            """Log nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def input_audio(data, _):
    return {"data": base64.b64encode(data).decode(), "format": "wav"}


def data_url(data, _):
    return {"data": "data:audio/wav;base64," + base64.b64encode(data).decode()}


def http_url(_, address):
    return {"url": address}


WAYS = {"input_audio": input_audio, "data URL": data_url, "http URL": http_url}


def send(client, route, way, data, address="", **fields):
    if way == "multipart":
        fields = {name: str(value) for name, value in fields.items()}
        fields |= {"prompt": "?"} if route == "chat" else {}
        return client.post(ROUTES[route], files={"file": data}, data=fields)
    audio = WAYS[way](data, address)
    if route != "chat":
        return client.post(ROUTES[route], json={"audio": audio} | fields)
    part = {"type": "audio", "audio": audio}
    if way == "data URL":
        part = {"type": "audio_url", "audio_url": {"url": audio["data"]}}
    body = {"messages": [{"role": "user", "content": [part]}]}
    return client.post(ROUTES[route], json=body | fields)


def options(route):
    return {"pooling": "mean"} if route == "embeddings" else {"max_tokens": 1}


def outcome(answer):
    if answer.status_code == 200:
        return answer.json()["usage"]["audio_seconds"]
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    return error["code"], error["message"]


def agrees(got, wanted):
    if isinstance(wanted, tuple):
        return isinstance(got, tuple) and got[0] == wanted[0] and wanted[1] in got[1]
    return isinstance(got, float) and abs(got - wanted) < 0.15


def is_well(client, clips):
    answer = send(client, "captions", "multipart", clips["notes.ogg"], max_tokens=2)
    return answer.status_code == 200


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("way", [*WAYS, "multipart"])
def test_every_hostile_file_is_decoded_or_rejected_in_time(http_client, site, clips, route, way):
    wrong = []
    for name, file in hostile.files().items():
        address = f"{site}/{urllib.parse.quote(name)}"
        answer = send(http_client, route, way, file.data, address, **options(route))
        got = outcome(answer)
        if not agrees(got, file.outcome):
            wrong.append((name, got, file.outcome))
    assert wrong == []
    assert is_well(http_client, clips)


def test_hostile_files_take_little_memory(pod, http_client, clips):
    assert is_well(http_client, clips)
    for name, file in hostile.files().items():
        if name.startswith(("flac:", "a tag", "tags", "opus")):
            send(http_client, "embeddings", "multipart", file.data, pooling="mean")
    assert high_water(pod.process.pid) < 1024 * MIB, "torch, the model and its caches"
    assert max(map(high_water, workers(pod))) < 220 * MIB


def test_a_body_of_200_mb_is_in_memory_once(pod, http_client):
    # 32 channels at 384 kHz: eight seconds.
    body = hostile.wav(384_000, 32, bytes(200 * MIB))
    Path(f"/proc/{pod.process.pid}/clear_refs").write_text("5")  # forget the high-water mark
    before = high_water(pod.process.pid)
    answer = send(http_client, "embeddings", "multipart", body, pooling="mean")
    assert outcome(answer) == pytest.approx(8.53, abs=0.01)
    assert high_water(pod.process.pid) - before < 60 * MIB, "the file itself is not even in it"
    assert max(map(high_water, workers(pod))) < 220 * MIB


def test_base64_of_100_mb_is_in_memory_twice_and_no_more(pod, http_client):
    body = hostile.wav(384_000, 32, bytes(75 * MIB))
    Path(f"/proc/{pod.process.pid}/clear_refs").write_text("5")
    before = high_water(pod.process.pid)
    answer = send(http_client, "embeddings", "input_audio", body, pooling="mean")
    assert outcome(answer) == pytest.approx(3.2, abs=0.01)
    assert high_water(pod.process.pid) - before < 2.6 * 100 * MIB


def test_a_body_over_the_memory_budget_is_rejected_before_it_is_read(pod, http_client, clips):
    with half_sent(pod, num_bytes=250 * MIB):
        until(lambda: not fits(pod, 250 * MIB))
        assert is_well(http_client, clips), "a short one fits"
    until(lambda: fits(pod, 250 * MIB))


def fits(pod, num_bytes):
    """Whether the pod accepts a body of so many bytes; none of it is sent."""
    with half_sent(pod, num_bytes=num_bytes) as connection:
        connection.settimeout(0.5)
        try:
            answer = connection.recv(4096)
        except TimeoutError:
            return True
    assert answer.startswith(b"HTTP/1.1 429 "), answer
    assert b'"overloaded"' in answer
    assert b"retry-after-ms" in answer.lower()
    return False


@contextlib.contextmanager
def half_sent(pod, *, num_bytes):
    url = urllib.parse.urlsplit(pod.address)
    with socket.create_connection((url.hostname, url.port)) as connection:
        connection.sendall(
            b"POST /v1/audio/captions HTTP/1.1\r\nHost: pod\r\n"
            b"Content-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: %d\r\n\r\n" % num_bytes
        )
        yield connection


def test_a_worker_killed_while_decoding_fails_one_request(pod, http_client, clips):
    slow = hostile.made("opus", 59)
    assert is_well(http_client, clips)
    answers = []
    for _ in range(40):
        answers.append(killed_while_decoding(pod, http_client, slow))
        assert is_well(http_client, clips)
        if not isinstance(answers[-1], float):
            break
    code, message = answers[-1]
    assert (code, message) == (
        "invalid_audio",
        "the audio crashed its decoder; is the file corrupt?",
    )


def killed_while_decoding(pod, client, data):
    """Return the response to a clip whose worker is killed while it decodes it."""
    (worker,) = workers(pod)
    before, responses = ticks(worker), []
    asking = threading.Thread(
        target=lambda: responses.append(
            outcome(send(client, "embeddings", "multipart", data, pooling="mean"))
        )
    )
    asking.start()
    until(lambda: ticks(worker) > before + 1 or responses)
    os.kill(worker, signal.SIGKILL)
    asking.join()
    return responses[0]


def until(condition):
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)  # between two looks at a real process; no result depends on it


def workers(pod):
    """Return the pod's processes that decode: they are spawned with a pipe's number."""
    listed = Path(f"/proc/{pod.process.pid}/task").glob("*/children")
    children = {int(pid) for each in listed for pid in each.read_text().split()}
    return [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def high_water(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
