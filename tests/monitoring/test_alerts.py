"""The alerting rules, judged by promtool: their unit tests, and on what the operator exports."""

import json
import re
import subprocess

import pytest
from control_plane.deployments import INTERNAL
from fakes.clusters import Cluster
from fakes.operator_inputs import QUICK
from monitoring import rules
from prometheus_client import generate_latest

from flamingo_operator.telemetry.metrics import Metrics

SCRAPED = 'flamingo_ready{namespace="audio",name="music",pod="music-a"}'


@pytest.fixture
def promtool(needs):
    program = needs("promtool", install="Debian: apt install prometheus")

    def run(*args):
        command = [program, *map(str, args)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        return done.returncode, done.stdout + done.stderr

    return run


def test_promtool_accepts_the_rules(promtool):
    returncode, output = promtool("check", "rules", "--lint=all", "--lint-fatal", rules.FILE)
    assert returncode == 0, output


@pytest.mark.parametrize("file", rules.UNIT_TESTS, ids=lambda file: file.stem)
def test_alerts_fire_in_their_case_and_not_in_the_nearest_healthy_one(promtool, file):
    returncode, output = promtool("test", "rules", file)
    assert returncode == 0, output


def series_of(status, generation):
    """Yield what the operator exports of a deployment, as promtool's constant series."""
    metrics = Metrics()
    metrics.fleets.statuses = lambda: [("audio/music", generation, status)]
    metrics.is_leader.set(1)
    text = generate_latest(metrics.registry).decode()
    for line in (*text.splitlines(), f"{SCRAPED} 1"):
        name, _, value = line.rpartition(" ")
        if not line.startswith(("#", "process_")):
            yield {"series": name, "values": f"{float(value):g}x200"}


def firing(promtool, folder, status, *, after, generation=None):
    """Return which alerts fire some time after a status."""
    # Each alert is expected not to fire; promtool names those that do.
    cases = [{"eval_time": after, "alertname": name, "exp_alerts": []} for name in rules.NAMES]
    series = [*series_of(status, generation or status["observedGeneration"])]
    test = {"interval": "1h", "input_series": series, "alert_rule_test": cases}
    file = folder / "test.json"
    given = {"rule_files": [str(rules.FILE)], "evaluation_interval": "1h", "tests": [test]}
    file.write_text(json.dumps(given))
    returncode, output = promtool("test", "rules", file)
    found = set(re.findall(r"alertname: ?(\w+)", output))
    assert (returncode == 0) == (not found), output
    return found


def fleet(**spec):
    cluster = Cluster.of({"replicas": 2, "rollout": QUICK, **spec})
    cluster.live(5)
    return cluster


@pytest.mark.parametrize(
    "change", [{}, {"suspend": True}, {"replicas": 0}, {"scaling": INTERNAL, "suspend": True}]
)
def test_a_fleet_that_is_as_its_spec_says_raises_no_alert(promtool, tmp_path, change):
    cluster = fleet()
    cluster.change(**change)
    cluster.live(5)
    assert firing(promtool, tmp_path, cluster.status, after="8d") == set()


def test_a_fleet_raises_no_alert_during_any_step_of_a_rollout(promtool, tmp_path):
    cluster = fleet()
    cluster.change(server={"image": "other:2"})
    for _ in range(4):
        cluster.live(1)
        found = firing(promtool, tmp_path, cluster.status, after="1h")
        assert found <= {"FlamingoSpecNotObserved"}


def test_a_fleet_whose_pods_fail_raises_the_alerts_of_its_cause(promtool, tmp_path):
    cluster = fleet()
    cluster.fault(*cluster.pods, num_restarts=0)
    cluster.operate()
    expected = {"FlamingoNoReadyPods", "FlamingoGPUFault"}
    assert firing(promtool, tmp_path, cluster.status, after="2h") == expected


def test_a_rollback_and_an_unobserved_spec_raise_alerts_while_the_fleet_serves(promtool, tmp_path):
    cluster = fleet()
    old = set(cluster.hashes)
    cluster.change(server={"image": "broken:1"})
    cluster.live(80, revisions=old)
    stalled = {"FlamingoRolloutStalled"}
    assert firing(promtool, tmp_path, cluster.status, after="2h") == stalled
    behind = cluster.status["observedGeneration"] + 1
    found = firing(promtool, tmp_path, cluster.status, after="2h", generation=behind)
    assert found == stalled | {"FlamingoSpecNotObserved"}


def test_a_fleet_that_no_router_reports_the_demand_of_raises_an_alert(promtool, tmp_path):
    cluster = fleet()
    cluster.change(scaling=INTERNAL)
    cluster.live(5)
    assert firing(promtool, tmp_path, cluster.status, after="2h") == {"FlamingoScalingBlind"}
