"""A router and a pod that require keys, as processes: one key file, and a key for the router."""

import asyncio
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import httpx2
import openai
import pytest
from fakes import polling, processes
from fakes.patience import PATIENCE_S

from flamingo_common.service import keys

ALICE, ALICE_NEW, BOB, ROUTER = "fk-canary-alice", "fk-canary-new", "fk-canary-bob", "fk-canary-r"
CLOSED = ("/stats", "/metrics", "/fleet", "/v1/models", "/nothing")
OPEN = ("/health", "/health/live", "/health/ready", "/ui/", "/ui/main.js", "/ui/features.json")
TEXT = "Which key is it in? " * 8


@pytest.fixture(scope="module")
def keyed(model_cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keyed")
    owners = [("alice", ALICE), ("alice", ALICE_NEW), ("bob", BOB)]
    entries = [{"name": name, "sha256": keys.digest_of(key)} for name, key in owners]
    router = {"name": "router", "sha256": keys.digest_of(ROUTER), "may": ["observe"]}
    (folder / "keys").write_text(json.dumps({"keys": [*entries, router]}))
    (folder / "pod-key").write_text(ROUTER + "\n")
    flags = ("--key-file", str(folder / "keys"))
    with processes.service(
        "flamingo_pod", "--model", "flamingo-tiny", *flags, log=folder / "pod.log"
    ) as pod:
        processes.wait_until_ready(pod)
        asking = ("--endpoint", pod.address, "--pod-key-file", str(folder / "pod-key"))
        with processes.service(
            "flamingo_router", *asking, *flags, log=folder / "router.log"
        ) as router:
            processes.wait_until_ready(router)
            yield SimpleNamespace(router=router, pod=pod, folder=folder)


def chat(service, key, text=TEXT):
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 4}
    return httpx2.post(
        f"{service.address}/v1/chat/completions",
        json=body,
        headers={"Authorization": f"Bearer {key}"},
        timeout=PATIENCE_S,
    )


def num_cached(answer):
    return answer.json()["usage"]["prompt_tokens_details"]["cached_tokens"]


def test_keys_of_one_name_share_what_is_cached_and_other_names_do_not(keyed):
    """GHSA-4qjh-9fv9-r85r: a shared cache reveals what others requested."""
    assert num_cached(chat(keyed.router, ALICE)) == 0
    assert num_cached(chat(keyed.router, ALICE)) > 0
    assert num_cached(chat(keyed.router, ALICE_NEW)) > 0
    assert num_cached(chat(keyed.router, BOB)) == 0
    assert num_cached(chat(keyed.router, BOB)) > 0


@pytest.mark.parametrize("service", ["router", "pod"])
def test_the_official_client_sees_an_authentication_error_and_does_not_retry(keyed, service):
    address = getattr(keyed, service).address
    with openai.OpenAI(base_url=f"{address}/v1", api_key="fk-wrong") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"
    with openai.OpenAI(base_url=f"{address}/v1", api_key=ALICE) as client:
        assert [model.id for model in client.models.list()] == ["flamingo-tiny"]


@pytest.mark.parametrize("service", ["router", "pod"])
def test_everything_but_probes_and_the_page_requires_a_key(keyed, service):
    statuses = {
        path: httpx2.get(getattr(keyed, service).address + path, timeout=PATIENCE_S).status_code
        for path in (*CLOSED, *OPEN)
    }
    assert statuses == dict.fromkeys(CLOSED, 401) | dict.fromkeys(OPEN, 200)


@pytest.mark.parametrize("service", ["router", "pod"])
def test_who_has_no_key_is_not_told_about_a_coding(keyed, service):
    address = f"{getattr(keyed, service).address}/v1/chat/completions"
    headers = {"Content-Encoding": "gzip"}
    assert (
        httpx2.post(address, content=b"\x1f", headers=headers, timeout=PATIENCE_S).status_code
        == 401
    )
    headers["Authorization"] = f"Bearer {ALICE}"
    assert (
        httpx2.post(address, content=b"\x1f", headers=headers, timeout=PATIENCE_S).status_code
        == 415
    )


def test_no_key_is_in_a_log_a_metric_a_report_or_an_error(keyed):
    texts = []
    for service in (keyed.router, keyed.pod):
        texts.append(chat(service, "fk-canary-wrong").text)
        texts.append(chat(service, BOB, text="<|sound_bos|>").text)
        for path in ("/metrics", "/stats", "/fleet", "/v1/models", "/openapi.json"):
            for key in (ALICE, ROUTER):
                headers = {"Authorization": f"Bearer {key}"}
                texts.append(
                    httpx2.get(service.address + path, headers=headers, timeout=PATIENCE_S).text
                )
    texts += [path.read_text() for path in keyed.folder.glob("*.log")]
    everything = "\n".join(texts)
    assert '"key": "bob"' in everything
    assert "fk-canary" not in everything
    assert not any(keys.digest_of(key) in everything for key in (ALICE, ALICE_NEW, BOB, ROUTER))


@pytest.mark.parametrize("wrong", ["fk-canary-unknown", ALICE], ids=["unknown", "may not observe"])
def test_a_router_whose_key_pods_refuse_says_so_until_it_has_another(keyed, tmp_path, wrong):
    path, log = tmp_path / "pod-key", tmp_path / "router.log"
    path.write_text(wrong)
    flags = ("--endpoint", keyed.pod.address, "--pod-key-file", str(path))
    with processes.service("flamingo_router", *flags, log=log) as router:
        asyncio.run(polling.until_logged(log, "endpoint.key_refused"))
        ready = httpx2.get(f"{router.address}/health/ready", timeout=PATIENCE_S)
        assert (ready.status_code, ready.json()["key_refused"]) == (503, 1)
        assert "--pod-key-file" in ready.json()["hint"]
        fleet = httpx2.get(f"{router.address}/fleet", timeout=PATIENCE_S).json()
        assert [each["reason"] for each in fleet["endpoints"]] == ["key_refused"]

        path.write_text(ROUTER)
        processes.wait_until_ready(router)

    warnings = [line for line in log.read_text().splitlines() if "endpoint.key_refused" in line]
    assert len(warnings) == 1, "one line, not one for each poll"
    assert "--pod-key-file" in warnings[0]
    assert wrong not in log.read_text()


def test_a_router_with_an_invalid_pod_key_does_not_start(tmp_path):
    path = tmp_path / "pod-key"
    path.write_text("two words\n")
    flags = ("--endpoint", "http://127.0.0.1:9", "--pod-key-file", str(path))
    with processes.service("flamingo_router", *flags, log=tmp_path / "log", ends_with=2) as router:
        assert router.process.wait(PATIENCE_S) == 2
    log = (tmp_path / "log").read_text()
    assert (
        log.strip()
        == "flamingo router: --pod-key-file: character 4 of 9 of the key is whitespace; a key is"
        " visible ASCII characters without whitespace"
    )


@pytest.mark.parametrize(("host", "warns"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_service_that_is_open_to_all_warns_once(tmp_path, host, warns):
    command = [sys.executable, "-P", "-m", "flamingo_router", "--host", host, "--port", "0"]
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen([*command, "--endpoint", "http://127.0.0.1:9"], stderr=sink)
    deadline_s = time.monotonic() + PATIENCE_S
    while b"listening" not in log.read_bytes() and time.monotonic() < deadline_s:
        time.sleep(0.02)  # between two reads of a real process's log; no result depends on it
    process.terminate()
    assert process.wait(PATIENCE_S) == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    warnings = [line for line in lines if line["event"] == "service.unauthenticated"]
    assert len(warnings) == warns
    assert all("--key-file" in line["message"] for line in warnings)
