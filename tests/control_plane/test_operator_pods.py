"""What users write about pods, in the pods of a real cluster."""

import pytest
from control_plane.deployments import AWAY_FROM_SPOT, CERTIFICATES, OPEN_SHIFT, ZONES
from control_plane.operators import wait_until

from flamingo_operator.api.names import COMPONENT_LABEL

ACCOUNT = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
# Not as the API server stores them.
ODD_QUANTITIES = {
    "requests": {"cpu": "1000m", "memory": "0.5Gi"},
    "limits": {"cpu": "1.5", "memory": "1024Mi"},
}
POD = {
    "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "envFrom": [{"configMapRef": {"name": "proxies", "optional": True}}],
    "resources": ODD_QUANTITIES,
    "tolerations": [{"key": "audio", "operator": "Exists"}],
    "affinity": AWAY_FROM_SPOT,
    "topologySpreadConstraints": [ZONES],
    "serviceAccountName": "reader",
    "securityContext": OPEN_SHIFT,
    **CERTIFICATES,
    "pdb": {"maxUnavailable": "50%"},
}
EVERYTHING = {
    "server": {**POD, "args": ["--max-concurrent-answers=64"], "sharedMemory": "1024Mi"},
    "router": {**POD, "args": ["--log-level=debug"], "replicas": 1},
}


@pytest.fixture
def started(here):
    here.kubectl("create", "-f", "-", body=ACCOUNT)
    here.start("--resync-interval-s=1")
    return here


def pods_of(here, component):
    return [
        pod
        for pod in here.get("pods")["items"]
        if pod["metadata"].get("labels", {}).get(COMPONENT_LABEL) == component
    ]


def test_everything_that_users_may_write_about_pods_is_taken_and_written_once(started):
    started.create({"replicas": 1, **EVERYTHING})
    started.wait_complete(1)
    (router,) = wait_until(lambda: pods_of(started, "router"), "the router")
    (server,) = started.pods()
    for pod in (server, router):
        assert pod["spec"]["serviceAccountName"] == "reader"
        assert "runAsUser" not in pod["spec"]["securityContext"]
        assert pod["spec"]["containers"][0]["resources"]["requests"]["memory"] == "512Mi"
        assert "--host=::" in pod["spec"]["containers"][0]["args"]
    operator = started.operators[0]
    wait_until(operator.is_idle, "it has reconciled")
    passes, writes = (
        "flamingo_operator_reconcile_seconds_count",
        operator.metric("flamingo_operator_api_writes_total"),
    )
    num_passes = operator.metric(passes)
    wait_until(lambda: operator.metric(passes) >= num_passes + 3, "it has reconciled again")
    assert operator.metric("flamingo_operator_api_writes_total") == writes


def test_a_server_without_a_gpu_runs_where_there_is_none(started):
    started.create({"replicas": 1, "gpu": {"count": 0}})
    started.wait_complete(1)
    (server,) = started.pods()
    resources = server["spec"]["containers"][0]["resources"]
    assert not any("gpu" in name for name in {**resources["requests"], **resources["limits"]})
    assert not any("gpu" in one.get("key", "") for one in server["spec"]["tolerations"])
    assert server["status"]["qosClass"] == "Burstable"


def test_a_gpu_can_come_from_a_resource_claim(started):
    claim = {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}
    started.create({"replicas": 1, "gpu": {"resourceClaims": [claim]}})
    (server,) = wait_until(started.pods, "the server pod")
    assert server["spec"]["resourceClaims"] == [claim]
    assert server["spec"]["containers"][0]["resources"]["claims"] == [{"name": "gpu"}]
