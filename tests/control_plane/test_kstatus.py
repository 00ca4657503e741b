"""What Helm and Flux conclude from a FlamingoDeployment, over its whole life.

Every version of the object that the API server ever served is judged, not only those that a
poll happens to see.
"""

import contextlib
import json
import subprocess
from itertools import groupby

from control_plane import kstatus
from control_plane.helm_releases import FLEET, Releases
from control_plane.operators import BASE, wait_until

from flamingo_operator.api.names import PLURAL, ROLLOUT_MOVED

NUM_PLACES = 3
LONG_AGO = "2026-01-01T00:00:00Z"
NEVER_READY = {"podMetadata": {"annotations": {"ready.simulated/delay": "24h"}}}


@contextlib.contextmanager
def versions_of(place, name="music"):
    """Yield what returns each version of a FlamingoDeployment so far, judged by kstatus."""
    file = place.folder / f"versions-{place.namespace}"
    command = [place.cluster.kubectl, f"--kubeconfig={place.cluster.kubeconfig}"]
    command += ["-n", place.namespace, "get", PLURAL, "--watch", "-o", "json"]
    with file.open("wb") as out, subprocess.Popen(command, stdout=out) as process:
        try:
            yield lambda: [*_bodies(file.read_text(), name)]
        finally:
            process.terminate()


def _bodies(text, name):
    decoder, place = json.JSONDecoder(), 0
    with contextlib.suppress(json.JSONDecodeError):
        while True:
            body, place = decoder.raw_decode(text, place)
            place += len(text[place:]) - len(text[place:].lstrip())
            if body["metadata"]["name"] == name:
                yield body


def judged(bodies, generation):
    """Return what kstatus concluded in turn while that was the generation of the spec."""
    found = [
        kstatus.status_of(one) for one in bodies if one["metadata"]["generation"] == generation
    ]
    return [status for status, _ in groupby(found)]


def fail_rollout(place):
    """Let the rollout that is under way have begun long ago, so that its deadline has passed."""
    update = wait_until(lambda: place.status().get("updateRevision"), "an update revision")
    moved = {"metadata": {"annotations": {ROLLOUT_MOVED: LONG_AGO}}}
    place.patch("controllerrevisions", f"music-{update}", moved)


def wait_rollout_begins(place, before):
    wait_until(lambda: place.status().get("updateRevision") != before, "a new revision")


def test_a_fleet_is_in_progress_until_it_is_as_its_spec_says_and_never_current_before(place):
    with versions_of(place) as versions:

        def settles(expected, *, then=lambda: None):
            """Wait until this generation is no longer in progress; check all that was seen."""
            generation = place.get(PLURAL, "music")["metadata"]["generation"]
            then()
            wait_until(
                lambda: (judged(versions(), generation) or ["InProgress"])[-1] != "InProgress",
                f"generation {generation} settles",
            )
            assert judged(versions(), generation) == ["InProgress", expected]

        place.create({"replicas": 2})
        settles("Current")
        assert versions()[0]["status"] == {"observedGeneration": -1}
        for change in (
            {"replicas": 3},
            {"replicas": 2},
            {"server": {"image": "example.com/pod:2"}},
            {"router": {"podMetadata": {"annotations": {"example.com/a": "b"}}}},
            {"suspend": True},
            {"suspend": False},
            {"replicas": 0},
            {"replicas": 1},
        ):
            place.change(change)
            settles("Current")
        place.change({"replicas": 2})
        # kubectl does not take the condition of the generation before.
        place.kubectl("wait", "--for=condition=Reconciling=False", f"{PLURAL}/music")
        assert place.is_complete(2)
        before = place.status()["updateRevision"]
        place.change({"server": NEVER_READY})
        wait_rollout_begins(place, before)
        settles("Failed", then=lambda: fail_rollout(place))
        assert place.reason("Stalled") == "RolledBack"
        place.change({"server": {"podMetadata": None}})
        settles("Current")
        place.kubectl("delete", PLURAL, "music", "--cascade=foreground", "--wait=false")
        wait_until(lambda: kstatus.status_of(versions()[-1]) == "Terminating", "it terminates")


def test_what_is_refused_for_good_is_failed_and_a_used_up_quota_is_in_progress(place):
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "gpus"}}
    quota["spec"] = {"hard": {"requests.nvidia.com/gpu": "1"}}
    place.cluster.create(place.namespace, quota)
    wait_until(lambda: place.get("resourcequotas", "gpus").get("status"), "the quota counts")
    place.create({"replicas": 2})
    wait_until(lambda: place.reason("Accepted") == "QuotaExceeded", "the quota is named")
    # Until the router is ready, too, the reason is that of the quota.
    wait_until(lambda: place.reason("Ready") == "PartiallyReady", "as many as the quota allows")
    assert place.status()["readyReplicas"] == 1
    assert kstatus.status_of(place.get(PLURAL, "music")) == "InProgress"
    conditions = {one["type"]: one for one in place.status()["conditions"]}
    assert conditions["Stalled"]["status"] == "False"
    assert (conditions["Degraded"]["status"], conditions["Degraded"]["reason"]) == (
        "True",
        "QuotaExceeded",
    )
    place.delete("resourcequotas", "gpus")
    place.change({"server": {"priorityClassName": "no-such-class"}})
    wait_until(lambda: kstatus.status_of(place.get(PLURAL, "music")) == "Failed", "it is refused")
    assert place.reason("Stalled") == "Rejected"


def test_helm_waits_until_a_fleet_is_ready_and_fails_when_its_rollout_fails(place, tmp_path):
    helm = Releases(place.cluster.kubeconfig, place.namespace, tmp_path)
    wait = ("--wait", "--timeout=90s")
    output = helm.install({"replicas": 2, **BASE}, *wait)
    assert "STATUS: deployed" in output
    assert place.is_complete(2)
    before = place.status()["updateRevision"]
    server = {"image": "example.com/pod:2", **NEVER_READY}
    upgrade = ("upgrade", "music", str(FLEET), *wait, "--reuse-values", "--values=-")
    with helm.start(*upgrade) as process:
        process.stdin.write(json.dumps({"server": server}))
        process.stdin.close()
        wait_rollout_begins(place, before)
        fail_rollout(place)
        output = process.stdout.read()
    assert process.returncode != 0
    assert "Failed" in output, output
    assert place.status()["readyReplicas"] == 2
