"""Randomized tests of the operator: spec changes, manual edits, faults and kills, by seed.

`FLAMINGO_SEEDS=40 FLAMINGO_FIRST_SEED=100 pytest tests/control_plane/test_operator_chaos.py` plays
other games and more of them. A seed does not repeat to the millisecond; the moves are printed.
"""

import os
import random
import sys

import pytest
from control_plane.chaos import COLLECTED_KINDS, NAME, SELECTOR, Game, num_desired
from control_plane.operators import site, wait_until

from flamingo_operator.api.names import PLURAL

FIRST = int(os.environ.get("FLAMINGO_FIRST_SEED", "1"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("FLAMINGO_SEEDS", "3")))
NUM_BURSTS = 2
REST_S = float(os.environ.get("FLAMINGO_REST_S", "3"))
SETTLE_S = 180.0


@pytest.fixture
def game(whole_cluster, tmp_path, request):
    with site(whole_cluster, f"chaos-{request.param}", tmp_path) as here:
        made = Game(here, random.Random(request.param))
        made.begin()
        try:
            yield made
        finally:
            made.restore_nodes()
            sys.stdout.write(f"seed {request.param}:\n{made.report()}")


@pytest.mark.parametrize("game", SEEDS, indirect=True)
def test_whatever_is_done_to_it_a_deployment_becomes_what_its_spec_says(game):
    wait_until(lambda: is_settled(game), "settled", within_s=SETTLE_S)
    for _ in range(NUM_BURSTS):
        with game.site.pods_watched(SELECTOR) as after_each:
            game.burst()
            game.heal()
            wait_until(lambda: is_settled(game), "settled", within_s=SETTLE_S)
            assert max(map(num_alive, after_each()), default=0) <= game.max_pods
        writes_nothing(game)
        status_matches(game)
    rolls(game)
    game.site.kubectl("delete", "fd", NAME)
    wait_until(lambda: ours(game) == [], "nothing is left")
    for operator in game.site.operators:
        log = operator.log.read_text()
        assert "Traceback" not in log
        assert '"level": "error"' not in log


def num_alive(pods):
    """Return how many of these pods count, of one owner: those of a deleted one may still go."""
    owners = [
        pod["metadata"].get("ownerReferences", [{}])[0].get("uid")
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        and pod["status"].get("phase") != "Failed"
        and "flamingo.dev/drain-started" not in pod["metadata"].get("annotations", {})
    ]
    return max((owners.count(one) for one in owners), default=0)


def is_serving(pod):
    """Whether requests come to a pod."""
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", ())}
    is_ready = conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]
    return is_ready and pod["metadata"]["labels"].get("flamingo.dev/serving") == "true"


def is_settled(game):
    body, pods = game.site.get(PLURAL, NAME), game.servers()
    spec, status = body["spec"], body.get("status", {})
    reasons = {one["type"]: one["reason"] for one in status.get("conditions", ())}
    if status.get("observedGeneration") != body["metadata"]["generation"]:
        return False
    num = num_desired(spec, status)
    ready = "Suspended" if spec["suspend"] else "AllReady" if num else "ScaledToZero"
    expected = {"Progressing": "Complete", "Accepted": "Accepted", "Ready": ready}
    return (
        expected.items() <= reasons.items()
        and len(pods) == sum(map(is_serving, pods)) == num
        and game.num_routers() == (spec["router"]["replicas"] if spec["router"]["enabled"] else 0)
    )


def writes_nothing(game):
    """Check that nothing is written any more, over several reconciliations."""
    operator = game.operator
    passes, writes = (
        "flamingo_operator_reconcile_seconds_count",
        "flamingo_operator_api_writes_total",
    )
    before = operator.metric(writes)
    end = operator.metric(passes) + REST_S
    wait_until(
        lambda: operator.metric(passes) >= end, "it has reconciled", within_s=60 + 2 * REST_S
    )
    assert operator.metric(writes) == before


def status_matches(game):
    """Check that the status matches what exists, and that everything that exists is ours."""
    body, pods = game.site.get(PLURAL, NAME), game.servers()
    spec, status, num = body["spec"], body["status"], len(pods)
    assert {status[f"{one}Replicas"] for one in ("ready", "updated")} == {status["replicas"], num}
    assert {status[f"{one}Replicas"] for one in ("pending", "loading", "draining")} == {0}
    labels = {pod["metadata"]["labels"]["flamingo.dev/revision"] for pod in pods}
    assert labels <= {status["updateRevision"]}
    images = {pod["spec"]["containers"][0]["image"] for pod in pods}
    assert images <= {spec["server"].get("image", *images)}
    owners = {one["metadata"]["ownerReferences"][0]["uid"] for one in ours(game)}
    assert owners == {body["metadata"]["uid"]}


def ours(game):
    """Return what the operator made and the garbage collector will take."""
    return [
        one
        for one in game.site.get(COLLECTED_KINDS)["items"]
        if one["metadata"].get("labels", {}).get("flamingo.dev/deployment") == NAME
        and one["metadata"]["labels"].keys().isdisjoint({"pod-template-hash", "job-name"})
    ]


def rolls(game):
    """Check that a rollout of healthy servers takes no more of them away than it may."""
    game.edit({"rollout": {"strategy": "RollingUpdate"}, "suspend": False})
    wait_until(lambda: is_settled(game), "settled", within_s=SETTLE_S)
    body = game.site.get(PLURAL, NAME)
    num = num_desired(body["spec"], body["status"])
    with game.site.pods_watched(SELECTOR) as after_each:
        wait_until(
            lambda: sum(map(is_serving, after_each()[-1:] and after_each()[-1])) == num, "seen"
        )
        before = len(after_each())
        game.edit({"server": {"image": "example.com/pod:9"}})
        wait_until(lambda: is_settled(game), "settled", within_s=SETTLE_S)
        fewest = min((sum(map(is_serving, pods)) for pods in after_each()[before:]), default=num)
    assert fewest >= num - body["spec"]["rollout"]["maxUnavailable"]
