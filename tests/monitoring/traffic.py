"""Requests of many kinds to a fleet: clips of every length, new and cached, streams, and errors."""

import io
import json
import time
from collections.abc import Iterator

import httpx2
import numpy as np
import soundfile
from fakes.patience import PATIENCE_S

CAPTIONS, CHAT = "/v1/audio/captions", "/v1/chat/completions"
EMBEDDINGS = "/v1/audio/embeddings"
LENGTHS_S = (5, 45, 150, 330)
"""A clip of each class that a tiny model answers in a moment."""
RATE = 8000
NUM_TOKENS = 6


def clip(seconds: float, seed: int) -> bytes:
    """Return noise as a WAV file; other seeds give other clips."""
    rng = np.random.default_rng(seed)
    target = io.BytesIO()
    samples = rng.uniform(-0.2, 0.2, int(seconds * RATE))
    soundfile.write(target, samples, RATE, format="WAV", subtype="PCM_U8")
    return target.getvalue()


def form(audio: bytes, **fields: str) -> dict[str, object]:
    return {"files": {"file": ("clip.wav", audio)}, "data": {**fields}}


def requests(number: int) -> Iterator[tuple[str, dict[str, object], int]]:
    """Yield one round of requests: path, arguments, and the status that is expected."""
    for place, seconds in enumerate(LENGTHS_S):
        audio = clip(seconds, seed=1000 * number + place)
        words = {"max_tokens": str(NUM_TOKENS)}
        yield CAPTIONS, form(audio, stream="true", **words), 200
        yield CAPTIONS, form(audio, **words), 200  # cached now
    question = {"messages": [{"role": "user", "content": f"What is {number}?"}]}
    for is_stream in (True, False):
        yield CHAT, {"json": question | {"max_tokens": NUM_TOKENS, "stream": is_stream}}, 200
    yield EMBEDDINGS, form(clip(5, seed=number), pooling="mean"), 200
    yield CAPTIONS, form(b"this is not audio" * 100), 400
    hurried = form(clip(5, seed=-number % 999)) | {"headers": {"x-flamingo-deadline-ms": "1"}}
    yield CAPTIONS, hurried, 504
    yield "/v1/nothing", {"json": question}, 404


def send(address: str, number: int, *, is_checked: bool = True) -> None:
    """Send one round of requests, one after the other; check the statuses of the responses."""
    with httpx2.Client(base_url=address, timeout=120) as client:
        for path, arguments, status in requests(number):
            answer = client.post(path, **arguments)
            is_expected = answer.status_code == status or not is_checked
            assert is_expected, f"{path}: {answer.status_code} {answer.text}"


def send_batch(address: str, *, num_lines: int = 2) -> None:
    """Submit a batch, and return when it is completed."""
    body = {"messages": [{"role": "user", "content": "Who plays?"}], "max_tokens": NUM_TOKENS}
    lines = [
        {"custom_id": str(number), "method": "POST", "url": CHAT, "body": body}
        for number in range(num_lines)
    ]
    data = "\n".join(map(json.dumps, lines)).encode()
    with httpx2.Client(base_url=address, timeout=60) as client:
        form = {"files": {"file": ("in.jsonl", data)}, "data": {"purpose": "batch"}}
        file = client.post("/v1/files", **form).json()
        given = {"input_file_id": file["id"], "endpoint": CHAT, "completion_window": "24h"}
        batch = client.post("/v1/batches", json=given).json()
        deadline_s = time.monotonic() + PATIENCE_S
        while batch["status"] != "completed":
            assert time.monotonic() < deadline_s, batch
            time.sleep(0.1)
            batch = client.get(f"/v1/batches/{batch['id']}").json()
    assert batch["request_counts"]["completed"] == len(lines)
