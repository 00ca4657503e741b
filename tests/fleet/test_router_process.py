"""The router as a process: `python -P -m flamingo_router`."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from fakes import pods, polling, processes
from fakes.patience import PATIENCE_S

from flamingo_common.service.run import listen

CHAT = "/v1/chat/completions"
QUESTION = {"messages": [{"role": "user", "content": "What key is this in?"}]}
UNUSED_ADDRESS = "http://127.0.0.1:9"


def finished(*flags, **variables):
    """Run the router until it exits by itself."""
    environ = {name: value for name, value in os.environ.items() if "FLAMINGO_" not in name}
    return subprocess.run(
        [sys.executable, "-P", "-m", "flamingo_router", *flags],
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_busy_port_is_reported_clearly():
    with contextlib.closing(listen("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = finished("--endpoint", UNUSED_ADDRESS, "--port", port)

    assert ended.returncode == 3
    assert f"127.0.0.1:{port}: in use by another process" in ended.stderr


def test_all_bad_settings_are_listed():
    ended = finished("--endpoint", "pod-1:8000", "--poll-interval-s", "0", "--port", "70000")

    assert ended.returncode == 2
    for flag in ("--endpoint", "--poll-interval-s", "--port"):
        assert re.search(
            rf"^flamingo router: {flag} \(FLAMINGO_ROUTER_", ended.stderr, re.MULTILINE
        )


def test_an_unknown_variable_is_refused():
    ended = finished("--endpoint", UNUSED_ADDRESS, FLAMINGO_ROUTER_POL_S="1")

    assert ended.returncode == 2
    assert "FLAMINGO_ROUTER_POL_S: unknown setting" in ended.stderr


def test_the_variables_of_a_kubernetes_service_are_ignored_and_logged_once(tmp_path):
    links = {
        "FLAMINGO_ROUTER_PORT": "tcp://10.0.0.1:8000",
        "FLAMINGO_ROUTER_PORT_8000_TCP_ADDR": "10.0.0.1",
        "FLAMINGO_ROUTER_SERVICE_HOST": "10.0.0.1",
        "FLAMINGO_ROUTER_SERVICE_PORT": "8000",
    }
    log = tmp_path / "log"
    flags = ("--endpoint", UNUSED_ADDRESS)
    with processes.service("flamingo_router", *flags, log=log, environ=links):
        for event in ("service.listening", "service_links"):
            asyncio.run(polling.until_logged(log, event))
    (line,) = [each for each in lines_of(log) if each["event"] == "settings.service_links_ignored"]
    assert line["variables"] == sorted(links)
    assert "enableServiceLinks: false" in line["message"]


def test_an_unknown_flag_is_refused():
    assert finished("--endpoint", UNUSED_ADDRESS, "--pol-s", "1").returncode == 2


def lines_of(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_stopped_router_completes_requests_in_flight_and_exits_with_0(tmp_path):
    async def scenario():
        pod = pods.FakePod(release=asyncio.Event())
        async with pods.running(pod), aiohttp.ClientSession() as client:
            log = tmp_path / "log"
            with processes.service("flamingo_router", "--endpoint", pod.address, log=log) as router:
                await asyncio.to_thread(processes.wait_until_ready, router)
                headers = {"x-request-id": "mine"}
                held = asyncio.create_task(
                    client.post(router.address + CHAT, json=QUESTION, headers=headers)
                )
                await pod.has_arrived.wait()
                router.process.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_S):
                    await polling.until_logged(log, "service.draining")
                async with client.get(router.address + "/health/ready") as answer:
                    assert answer.status == 503
                pod.release.set()
                async with await held as answer:
                    assert answer.status == 200
                assert await asyncio.to_thread(router.process.wait, PATIENCE_S) == 0
            (line,) = [each for each in lines_of(log) if each.get("path") == CHAT]
            fields = {"status", "endpoint", "audio_s", "audio_source", "cost_s", "attempts"}
            assert fields < set(line)
            assert (line["request_id"], line["endpoint"]) == ("mine", pod.address)

    asyncio.run(scenario())


def peak_bytes(process):
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_a_large_upload_is_never_held_in_memory_completely(tmp_path):
    num_bytes = 60_000_000

    async def scenario():
        pod = pods.FakePod()
        async with pods.running(pod), aiohttp.ClientSession() as client:
            flags = ("--endpoint", pod.address)
            with processes.service("flamingo_router", *flags, log=tmp_path / "log") as router:
                await asyncio.to_thread(processes.wait_until_ready, router)
                async with client.post(router.address + CHAT, json=QUESTION) as answer:
                    assert answer.status == 200
                before = peak_bytes(router.process)
                for _ in range(2):
                    sent = io.BytesIO(bytes(num_bytes))
                    async with client.post(router.address + CHAT, data=sent) as answer:
                        assert answer.status == 200
                assert peak_bytes(router.process) - before < 16_000_000
        assert [len(received.body) for received in pod.received[1:]] == [num_bytes] * 2

    asyncio.run(scenario())
