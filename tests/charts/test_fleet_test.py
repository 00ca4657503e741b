"""`helm test`: a pod that waits until a fleet is ready and sends it one clip."""

import os
import subprocess
import sys

import pytest
from charts.helm import FLEET, of_kind
from fakes.patience import PATIENCE_S
from fakes.processes import fake_pod, wait_until_ready

from flamingo_common.service import keys

ALICE = {"name": "alice", "sha256": keys.digest_of("fk-alice")}


def pod_of(helm, values, *flags):
    return of_kind(helm.render(FLEET, values, *flags), "Pod")


def container(pod):
    (found,) = pod["spec"]["containers"]
    return found


def variables(pod):
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(pod)["env"]}


def run(helm, url, timeout_s=60, **environ):
    """Run what the pod runs."""
    tests = {"timeoutSeconds": timeout_s}
    pod = container(pod_of(helm, {"tests": tests}))
    assert pod["command"] == ["python", "-c"]
    given = {one["name"]: one["value"] for one in pod["env"]} | {"FLAMINGO_URL": url}
    return subprocess.run(
        [sys.executable, "-c", *pod["args"]],
        env=os.environ | given | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_a_fleet_that_answers_passes(helm, tmp_path):
    with fake_pod(tmp_path / "log") as fleet:
        wait_until_ready(fleet)
        done = run(helm, fleet.address)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"ready: {fleet.address}",
        "caption: 'a quiet song' (3 tokens)",
        "PASSED",
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"state": "draining"}, 'the fleet was not ready within 1 s: {"status": "draining"}'),
        ({"words": ()}, "the caption is empty"),
    ],
)
def test_a_fleet_that_does_not_answer_fails_with_the_reason(helm, tmp_path, fields, message):
    with fake_pod(tmp_path / "log", **fields) as fleet:
        done = run(helm, fleet.address, timeout_s=1)
    assert done.returncode == 1
    assert done.stderr.startswith("FAILED: ")
    assert message in done.stderr


def test_a_fleet_that_nobody_answers_for_fails_with_its_address(helm):
    done = run(helm, "http://127.0.0.1:9", timeout_s=1)
    assert done.returncode == 1
    assert "http://127.0.0.1:9: " in done.stderr


def test_without_a_key_that_may_infer_no_clip_is_sent(helm, tmp_path):
    with fake_pod(tmp_path / "log", words=()) as fleet:
        wait_until_ready(fleet)
        done = run(helm, fleet.address, NO_KEY="true")
    assert done.returncode == 0
    assert "PASSED, without a clip" in done.stdout


def test_the_key_is_that_of_the_secret_that_the_chart_makes_or_of_the_one_that_is_named(helm):
    made = variables(pod_of(helm, {"apiKeys": {"keys": [ALICE]}}))
    secret = {"name": "music-api-keys", "key": "test-key"}
    assert made["FLAMINGO_API_KEY"] == {"secretKeyRef": secret}
    named = {"name": "mine", "key": "alice"}
    values = {"apiKeys": {"existingSecret": "keys"}, "tests": {"apiKeySecretRef": named}}
    assert variables(pod_of(helm, values))["FLAMINGO_API_KEY"] == {"secretKeyRef": named}
    without = variables(pod_of(helm, {"apiKeys": {"existingSecret": "keys"}}))
    assert without.keys() == {"FLAMINGO_URL", "TIMEOUT_SECONDS", "NO_KEY"}
    assert variables(pod_of(helm, {})).keys() == {"FLAMINGO_URL", "TIMEOUT_SECONDS"}


@pytest.mark.parametrize(
    ("values", "image"),
    [
        ({}, "ghcr.io/flamingo-fleet/router:0.1.0"),
        ({"global": {"imageRegistry": "a.example"}}, "a.example/flamingo-fleet/router:0.1.0"),
        ({"router": {"image": "a.example/router:2"}}, "a.example/router:2"),
        (
            {"router": {"image": "b"}, "tests": {"image": "a.example/router:3"}},
            "a.example/router:3",
        ),
    ],
)
def test_the_image_is_that_of_the_routers_unless_another_is_set(helm, values, image):
    assert container(pod_of(helm, values))["image"] == image


def test_the_pod_is_placed_as_the_routers_are(helm):
    placed = {
        "imagePullSecrets": [{"name": "pull"}],
        "nodeSelector": {"pool": "system"},
        "tolerations": [{"key": "system", "operator": "Exists"}],
        "priorityClassName": "routers",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    found = pod_of(helm, {"router": placed})["spec"]
    assert {name: found[name] for name in placed} == placed


def test_the_pod_ends_before_helm_gives_up(helm):
    assert pod_of(helm, {"tests": {"timeoutSeconds": 30}})["spec"]["activeDeadlineSeconds"] == 150
