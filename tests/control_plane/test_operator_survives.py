"""Killed operators, a silent API server, and a rollout that cannot work.

`FLAMINGO_KILLS=200 pytest tests/control_plane/test_operator_survives.py -k killed` kills it at as
many moments, `FLAMINGO_OUTAGE_S=600 … -k silent` lets the API server be silent for as long.
"""

import os
import random
import signal
import time

import pytest
from control_plane.operators import QUICK, process_id, site, wait_until

NUM_KILLS = int(os.environ.get("FLAMINGO_KILLS", "9"))
OUTAGE_S = float(os.environ.get("FLAMINGO_OUTAGE_S", "7"))
"""Longer than connecting may take, so that requests under way fail."""
KILLS_EACH = 3
"""In the life of each deployment: while it is made, scaled and rolled."""
LAST = {"replicas": 3, "server": {"image": "example.com/pod:2"}}
PATIENT = {**QUICK, "strategy": "RollingUpdate", "progressDeadlineSeconds": 60}


@pytest.fixture(scope="module")
def stuck(whole_cluster, tmp_path_factory):
    """Start a rollout that cannot work first, because the rollback takes a minute."""
    with site(whole_cluster, "stuck", tmp_path_factory.mktemp("stuck")) as made:
        # Another test silences the API server for longer than a short Lease lasts.
        made.start("--no-leader-election")
        made.create({"replicas": 2, "rollout": PATIENT})
        made.wait_complete(2)
        made.change({"server": {"nodeSelector": {"no": "such-node"}}})
        yield made


def test_what_a_killed_operator_began_the_next_one_finishes(here, stuck):
    """Create, scale and roll, each with a kill at a random moment; the end is always the same."""
    rng = random.Random(7)
    ends = []
    for number in range(-(-NUM_KILLS // KILLS_EACH)):
        name = f"kill-{number}"
        here.create({"replicas": 2}, name=name)
        for change in ({"replicas": 3}, LAST, None):
            operator = here.start("--no-leader-election", "--log-level=warning")
            # A moment within the start or within what it does then.
            time.sleep(rng.uniform(1.0, 2.6))
            operator.kill()
            if change:
                here.change(change, name=name)
        operator = here.start("--no-leader-election")
        wait_until(lambda name=name: here.is_complete(3, name), "complete")
        wait_until(operator.is_idle, "it has nothing to do")
        assert operator.stop() == 0
        found = {
            key.replace(name, "music"): text.replace(name, "music")
            for key, text in here.objects().items()
        }
        ends.append(found)
        here.kubectl("delete", "fd", name, "--wait=false")
        wait_until(lambda: here.objects() == {}, "everything is deleted")
    # The number of a pod and of a revision shows how often it was recreated.
    assert {frozenset(_kinds(end).items()) for end in ends} == {frozenset(_kinds(ends[0]).items())}
    assert all(len([key for key in end if key.startswith("Pod/")]) == 3 for end in ends)
    assert len({tuple(sorted(_fixed(end).items())) for end in ends}) == 1
    assert len(stuck.pods()) <= 3


def _fixed(objects):
    varying = ("Pod/", "ControllerRevision/")
    return {key: text for key, text in objects.items() if not key.startswith(varying)}


def _kinds(objects):
    kinds = [key.partition("/")[0] for key in objects if not key.startswith("ControllerRevision/")]
    return {kind: kinds.count(kind) for kind in kinds}


def test_the_operator_waits_for_a_silent_api_server(here, whole_cluster, stuck):
    operator = here.start("--no-leader-election")
    here.create({"replicas": 1})
    here.wait_complete(1)
    server = process_id(whole_cluster, "kube-apiserver")
    os.kill(server, signal.SIGSTOP)
    try:
        time.sleep(OUTAGE_S)
        assert operator.get("/health/live")[0] == 200
        assert operator.get("/metrics")[0] == 200
    finally:
        os.kill(server, signal.SIGCONT)
    here.change({"replicas": 2})
    here.wait_complete(2, within_s=120)
    assert operator.process.poll() is None
    assert stuck.operators[0].process.poll() is None


def test_a_rollout_that_cannot_work_is_rolled_back_and_the_old_pods_stay_ready(stuck):
    wait_until(lambda: stuck.reason("Progressing") == "RolledBack", "rolled back", within_s=150)
    wait_until(lambda: len(stuck.pods()) == 2, "the new one is deleted")
    status = stuck.status()
    assert status["readyReplicas"] == 2
    assert status["currentRevision"] != status["updateRevision"]
    assert {"Unschedulable", "RolledBack"} <= stuck.event_reasons()
    stuck.change({"server": {"nodeSelector": None}})
    stuck.wait_complete(2)


def test_an_operator_that_finds_no_api_server_can_be_stopped(here, whole_cluster):
    server = process_id(whole_cluster, "kube-apiserver")
    os.kill(server, signal.SIGSTOP)
    try:
        operator = here.start("--no-leader-election")
        wait_until(lambda: operator.get("/health/live")[0] == 200, "it runs")
        assert operator.stop() == 0
    finally:
        os.kill(server, signal.SIGCONT)
