"""The life of real pod processes: loading, failing, shutting down."""

import asyncio
import base64
import concurrent.futures
import contextlib
import json
import signal
import threading
from pathlib import Path

import httpx2
import pytest
from fakes import hub as hubs
from fakes import processes
from fakes.patience import PATIENCE_S

from flamingo_common.service.exit_status import ExitStatus
from flamingo_pod.model.builtin import build, tokenizer

FAULTY = str(Path(processes.__file__).parent / "faulty_pod.py")
WEIGHTS = "model.safetensors"
SHORT = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
LONG = {
    "messages": [{"role": "user", "content": "Hello"}],
    "max_tokens": 20_000,
    "temperature": 0,
    "stream": True,
    "logit_bias": {str(tokenizer.build().eos_token_id): -100},
}


def events(log):
    """Return the log's lines as dicts."""
    lines = log.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def event(log, name):
    (found,) = [each for each in events(log) if each["event"] == name]
    return found


@pytest.fixture
def hub(model_cache):
    with hubs.running(hubs.FakeHub(build.ensure_built("flamingo-tiny", model_cache))) as running:
        yield running


@pytest.fixture
def from_hub(hub, tmp_path):
    """Start a pod that loads its model from the hub."""

    def start(**options):
        return processes.service(
            "flamingo_pod",
            *("--model", hub.repo, "--revision", "v1"),
            log=tmp_path / "log",
            environ=hub.environ | {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_XET": "1"},
            **options,
        )

    return start


async def poll_until(client, path, condition):
    """Return the first response that fulfils `condition`."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await client.get(path)
            if condition(answer):
                return answer
            await asyncio.sleep(0.02)  # between two polls of a real process


def test_a_pod_reports_its_download_and_the_commit_it_serves(hub, from_hub):
    hub.pause_after[WEIGHTS] = 500_000

    async def scenario(address):
        async with httpx2.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
            early = await poll_until(
                client,
                "/health/ready",
                lambda answer: answer.json()["loading"]["phase"] == "downloading",
            )
            stats = (await client.get("/stats")).json()
            rejected = await client.post("/v1/chat/completions", json=LONG)
            hub.resume.set()
            late = await poll_until(
                client, "/health/ready", lambda answer: answer.status_code == 200
            )
            cards = (await client.get("/v1/models")).json()
        return early, stats, rejected, late, cards

    with from_hub() as running:
        early, stats, rejected, late, cards = asyncio.run(scenario(running.address))

    assert early.status_code == 503
    assert int(early.headers["retry-after"]) >= 1
    body = early.json()
    assert body["status"] == stats["state"] == "loading"
    assert body["error"]["code"] == rejected.json()["error"]["code"] == "model_loading"
    assert 0 < body["loading"]["total_bytes"] < 10_000_000
    assert late.json() == {"status": "ready", "model": hub.repo, "commit": hubs.COMMIT}
    assert cards["data"][0]["commit"] == hubs.COMMIT
    assert event(running.log, "model.ready")["commit"] == hubs.COMMIT
    phases = [each["phase"] for each in events(running.log) if each["event"] == "model.loading"]
    assert "downloading" in phases


def test_a_pod_without_access_to_its_model_ends_with_its_own_exit_status(hub, from_hub):
    hub.is_gated = True
    with from_hub(ends_with=ExitStatus.MODEL_ACCESS_DENIED) as running:
        running.process.wait(PATIENCE_S)
    assert "accept its license" in event(running.log, "model.load_failed")["error"]


def test_a_pod_for_a_gpu_ends_with_its_own_exit_status_where_there_is_none(tmp_path):
    status, no_gpu = ExitStatus.UNSUPPORTED_DEVICE, {"CUDA_VISIBLE_DEVICES": ""}
    flags = ("--device", "cuda")
    with processes.service(
        "flamingo_pod", *flags, log=tmp_path / "log", environ=no_gpu, ends_with=status
    ) as running:
        running.process.wait(PATIENCE_S)
    assert "no GPU found" in event(running.log, "model.load_failed")["error"]
    last = running.log.read_text(encoding="utf-8").splitlines()[-1]
    assert last.startswith("flamingo serve: no GPU found")


def fault(kind, part, folder):
    """Return the environment of a pod with a fault in a part of the model."""
    return {"FAULT": kind, "FAULT_IN": part, "FAULT_WHEN": str(folder / "now")}


@pytest.fixture(scope="module")
def stuck(model_cache, tmp_path_factory):
    """Responses of a pod before and after its engine stalls, and its log."""
    folder = tmp_path_factory.mktemp("stuck")
    flags = ("--model-impl", "transformers", "--stall-timeout-s", "2")
    environ = fault("stall", "model.language_model.layers.0", folder)
    with processes.service(
        FAULTY, *flags, log=folder / "log", environ=environ, ends_with=ExitStatus.ENGINE_STALLED
    ) as running:
        processes.wait_until_ready(running)
        before = httpx2.get(f"{running.address}/health/live", timeout=PATIENCE_S)
        (folder / "now").touch()
        hung = threading.Thread(target=_ask, args=(running.address,))
        hung.start()
        after = asyncio.run(_dead(running.address))
        ready = httpx2.get(f"{running.address}/health/ready", timeout=PATIENCE_S)
    hung.join(PATIENCE_S)
    assert not hung.is_alive(), "the client of a stalled pod was left hanging"
    return before, after, ready, running.log


def _ask(address):
    # When the pod ends, its connections do.
    with contextlib.suppress(httpx2.TransportError):
        httpx2.post(
            f"{address}/v1/chat/completions", json=LONG | {"stream": False}, timeout=PATIENCE_S
        )


async def _dead(address):
    async with httpx2.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
        return await poll_until(client, "/health/live", lambda answer: answer.status_code == 503)


def test_a_stalled_engine_fails_liveness_and_readiness(stuck):
    before, after, ready, _ = stuck
    assert before.json() == {"status": "live"}
    assert after.json() == {"status": "failed"}
    assert ready.status_code == 503
    assert ready.json()["status"] == "failed"


def test_the_stacks_of_a_stalled_engine_are_logged(stuck):
    line = event(stuck[3], "engine.failed")
    assert "faulty_pod.py" in " ".join(line["stacks"]["engine"])
    assert line["exit_status"] == ExitStatus.ENGINE_STALLED


@pytest.fixture(
    scope="module", params=["model.audio_tower.layer_norm", "model.language_model.layers.0"]
)
def lost(model_cache, request, tmp_path_factory, clips):
    """A pod's answer and liveness after its GPU is lost, and its log."""
    folder, clip = tmp_path_factory.mktemp("lost"), clips["drums.wav"]
    environ = fault("lose", request.param, folder)
    flags = ("--model-impl", "transformers")
    with processes.service(
        FAULTY, *flags, log=folder / "log", environ=environ, ends_with=ExitStatus.DEVICE_ERROR
    ) as running:
        processes.wait_until_ready(running)
        (folder / "now").touch()
        with httpx2.Client(base_url=running.address, timeout=PATIENCE_S) as client:
            if "audio" in request.param:
                answer = client.post("/v1/audio/embeddings", files={"file": clip})
            else:
                answer = client.post("/v1/chat/completions", json=LONG | {"stream": False})
        live = asyncio.run(_dead(running.address))
    return answer, live, running.log


def test_a_lost_gpu_fails_the_request_and_liveness(lost):
    answer, live, _ = lost
    assert answer.status_code == 500
    assert live.json() == {"status": "failed"}


def test_a_lost_gpu_is_recognized_at_the_first_error(lost):
    broken = [each for each in events(lost[2]) if each["event"] == "engine.broken"]
    assert len(broken) == 1


def test_the_log_of_a_pod_with_a_lost_gpu_ends_with_the_cause(lost):
    last = lost[2].read_text(encoding="utf-8").splitlines()[-1]
    assert (
        last == "flamingo serve: RuntimeError: CUDA error: an illegal memory access was encountered"
    )
    assert event(lost[2], "pod.failed")["exit_status"] == ExitStatus.DEVICE_ERROR


def test_a_long_prefill_is_not_taken_for_a_stall(model_cache, tmp_path):
    # Longer than the limit altogether; some forty steps, each far below it.
    turns = [{"role": role, "content": "music " * 15_000} for role in ("system", "user")]
    flags = ("--model", "flamingo-tiny", "--stall-timeout-s", "2")
    with processes.service("flamingo_pod", *flags, log=tmp_path / "log") as running:
        processes.wait_until_ready(running)
        body = {"messages": turns, "max_tokens": 1}
        answer = httpx2.post(f"{running.address}/v1/chat/completions", json=body, timeout=300)
        assert answer.status_code == 200, answer.text
        assert answer.elapsed.total_seconds() > 2
        assert httpx2.get(f"{running.address}/health/live", timeout=PATIENCE_S).status_code == 200


def test_a_second_signal_during_the_shutdown_delay_aborts_the_requests(model_cache, tmp_path):
    flags = ("--shutdown-delay-s", "600", "--grace-period-s", "1200")
    with (
        processes.service(
            "flamingo_pod", *flags, log=tmp_path / "log", ends_with=ExitStatus.INCOMPLETE_SHUTDOWN
        ) as running,
        httpx2.Client(base_url=running.address, timeout=PATIENCE_S) as client,
    ):
        processes.wait_until_ready(running)
        with client.stream("POST", "/v1/chat/completions", json=LONG) as answer:
            lines = answer.iter_lines()
            next(lines)
            running.process.send_signal(signal.SIGTERM)
            draining = asyncio.run(_draining(running.address))
            late = client.post("/v1/chat/completions", json=SHORT)
            running.process.send_signal(signal.SIGTERM)
            ends_with_error(lines)
            assert running.process.wait(PATIENCE_S) == ExitStatus.INCOMPLETE_SHUTDOWN
    assert draining.status_code == 503
    assert draining.json()["error"]["code"] == "draining"
    assert late.status_code == 200, "requests are accepted during the shutdown delay"
    assert event(running.log, "service.shutdown_incomplete")["reason"] == "second signal"
    assert event(running.log, "pod.requests_aborted")["num_requests"] == 1


def ends_with_error(lines):
    """Check that the rest of a stream ends with an error event, and not with [DONE]."""
    *_, last = [line for line in lines if line.startswith("data:")]
    error = json.loads(last.removeprefix("data: "))["error"]
    assert (error["code"], error["type"]) == ("draining", "server_error")
    assert "retry" in error["message"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/captions"])
def test_a_stream_that_outlasts_the_grace_period_ends_with_an_error_event(
    model_cache, tmp_path, clips, path
):
    flags = ("--grace-period-s", "0.5", "--shutdown-delay-s", "0")
    log, status = tmp_path / "log", ExitStatus.INCOMPLETE_SHUTDOWN
    audio = {"data": base64.b64encode(clips["notes.flac"]).decode()}
    body = LONG | ({"audio": audio} if path.endswith("captions") else {})
    if "audio" in body:
        body.pop("messages")
    with (
        processes.service("flamingo_pod", *flags, log=log, ends_with=status) as running,
        httpx2.Client(base_url=running.address, timeout=PATIENCE_S) as client,
    ):
        processes.wait_until_ready(running)
        with client.stream("POST", path, json=body) as answer:
            lines = answer.iter_lines()
            next(lines)
            running.process.send_signal(signal.SIGTERM)
            ends_with_error(lines)
        assert running.process.wait(PATIENCE_S) == status
    assert event(running.log, "service.shutdown_incomplete")["reason"] == "grace period expired"
    assert b"Traceback" not in log.read_bytes()


def test_a_request_without_a_stream_that_is_aborted_gets_an_error_response(model_cache, tmp_path):
    log, status = tmp_path / "log", ExitStatus.INCOMPLETE_SHUTDOWN
    with (
        processes.service("flamingo_pod", log=log, ends_with=status) as running,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        processes.wait_until_ready(running)
        address, body = f"{running.address}/v1/chat/completions", LONG | {"stream": False}
        asked = pool.submit(httpx2.post, address, json=body, timeout=PATIENCE_S)
        asyncio.run(_running(running.address))
        running.process.send_signal(signal.SIGTERM)
        asyncio.run(_draining(running.address))
        running.process.send_signal(signal.SIGTERM)
        answer = asked.result()
        assert running.process.wait(PATIENCE_S) == status
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
    assert "retry-after" in answer.headers


async def _running(address):
    async with httpx2.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
        await poll_until(client, "/stats", lambda answer: answer.json()["num_running"] == 1)


async def _draining(address):
    async with httpx2.AsyncClient(base_url=address, timeout=PATIENCE_S) as client:
        return await poll_until(
            client, "/health/ready", lambda answer: answer.json()["status"] == "draining"
        )
