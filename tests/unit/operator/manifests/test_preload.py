"""The Job that downloads the model."""

from dataclasses import replace

import pytest
from control_plane.deployments import FULL
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.api import names
from flamingo_operator.cluster.actions import Delete
from flamingo_operator.manifests import preload

CACHE = {"type": "PersistentVolumeClaim", "preload": True, "persistentVolumeClaim": {"size": "1Gi"}}
AUTH = {"keysSecretRef": {"name": "keys"}, "observeKeySecretRef": {"name": "keys"}}


def job(**given):
    deployment = Cluster.of({"cache": CACHE, **given}).deployment
    *_, made = preload.cache_manifests(deployment, RELEASE)
    return made


def pod(**given):
    return job(**given)["spec"]["template"]


def container(**given):
    (found,) = pod(**given)["spec"]["containers"]
    return found


def test_it_has_requests_and_limits_of_all_that_a_compute_quota_may_count():
    found = container()["resources"]
    for kind in ("requests", "limits"):
        assert found[kind].keys() == {"cpu", "memory", "ephemeral-storage"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"limits": {"memory": "64Mi"}}, ("64Mi", "64Mi")),
        ({"requests": {"memory": "8Gi"}}, ("8Gi", "8Gi")),
        ({"requests": {"memory": "1Mi"}, "limits": {"memory": "2Mi"}}, ("1Mi", "2Mi")),
    ],
)
def test_its_default_resources_do_not_contradict_those_of_the_user(given, expected):
    found = container(cache={**CACHE, "preloadResources": given})["resources"]
    assert (found["requests"]["memory"], found["limits"]["memory"]) == expected


def test_what_the_user_writes_on_server_pods_reaches_it():
    server = {
        "podMetadata": {
            "labels": {"team": "audio"},
            "annotations": {"sidecar.istio.io/inject": "false"},
        },
        "image": "example.com/pod:2",
        "imagePullPolicy": "Always",
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"pool": "audio"},
        "tolerations": [{"key": "audio", "operator": "Exists"}],
        "priorityClassName": "high",
        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    }
    found = pod(server=server)
    assert found["metadata"]["annotations"] == {"sidecar.istio.io/inject": "false"}
    assert found["metadata"]["labels"]["team"] == "audio"
    assert found["metadata"]["labels"][names.COMPONENT_LABEL] == "preload"
    spec = found["spec"]
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert spec["nodeSelector"] == {"pool": "audio"}
    assert {"key": "audio", "operator": "Exists"} in spec["tolerations"]
    assert spec["priorityClassName"] == "high"
    assert spec["restartPolicy"] == "Never"
    (made,) = spec["containers"]
    assert (made["image"], made["imagePullPolicy"]) == ("example.com/pod:2", "Always")
    assert server["env"][0] in made["env"]


def test_what_applies_of_the_overlay_of_server_pods_reaches_it():
    """A sidecar would keep the Job from completing."""
    sidecar = {"name": "proxy", "image": "proxy:1"}
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("shared-memory", "scratch")]
    proxied = {"name": "HTTPS_PROXY", "value": "http://127.0.0.1:3128"}
    overlay = {
        "metadata": {"labels": {"team": "audio"}},
        "spec": {
            "containers": [sidecar, {"name": "server", "env": [proxied]}],
            "dnsPolicy": "Default",
            "initContainers": [{**sidecar, "restartPolicy": "Always", "volumeMounts": mounts}],
            "readinessGates": [{"conditionType": "example.com/registered"}],
        },
    }
    found = pod(server={"podTemplate": overlay})
    assert found["metadata"]["labels"]["team"] == "audio"
    assert "annotations" not in found["metadata"] or found["metadata"]["annotations"] == {}
    spec = found["spec"]
    assert spec["dnsPolicy"] == "Default"
    assert "readinessGates" not in spec
    assert [one["name"] for one in spec["containers"]] == ["preload"]
    assert proxied in spec["containers"][0]["env"]
    assert spec["initContainers"][0]["volumeMounts"] == [mounts[1]]


def test_it_mounts_what_a_download_needs_and_no_keys():
    spec = pod(auth=AUTH)["spec"]
    (made,) = spec["containers"]
    mounted = {one["name"] for one in made["volumeMounts"]}
    assert mounted == {one["name"] for one in spec["volumes"]}
    assert "models" in mounted
    assert not mounted & {"keys", "shared-memory"}


def test_certificates_and_identity_reach_it_and_no_claim_of_a_gpu():
    certificates = {"name": "certificates", "configMap": {"name": "ca"}}
    server = {
        "envFrom": [{"configMapRef": {"name": "proxy"}}],
        "serviceAccountName": "reader",
        "securityContext": {"runAsNonRoot": True},
        "schedulerName": "other",
        "volumes": [certificates],
        "volumeMounts": [{"name": "certificates", "mountPath": "/ca"}],
    }
    gpu = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "one"}]}
    spec = pod(server=server, gpu=gpu)["spec"]
    (made,) = spec["containers"]
    assert (spec["serviceAccountName"], spec["schedulerName"]) == ("reader", "other")
    assert spec["securityContext"] == {"runAsNonRoot": True}
    assert made["envFrom"] == server["envFrom"]
    assert certificates in spec["volumes"]
    assert server["volumeMounts"][0] in made["volumeMounts"]
    assert "resourceClaims" not in spec
    assert "claims" not in made["resources"]


def test_its_name_follows_from_the_model_and_the_volume_alone():
    name = job()["metadata"]["name"]
    others = [
        {"server": FULL["server"]},
        {"cache": {**CACHE, "preloadResources": {"limits": {"cpu": 4}}}},
        {"cache": {**CACHE, "persistentVolumeClaim": {"size": "2Gi", "retain": False}}},
    ]
    assert [job(**one)["metadata"]["name"] for one in others] == [name] * 3
    changed = [
        {"model": {"id": "flamingo-tiny", "revision": "v2"}},
        {"cache": {**CACHE, "persistentVolumeClaim": {"claimName": "other"}}},
    ]
    assert name not in {job(**one)["metadata"]["name"] for one in changed}


def jobs_deleted(cluster):
    return [
        one
        for one in cluster.operate().actions
        if isinstance(one, Delete) and one.ref.kind == "Job"
    ]


def test_a_job_that_is_not_complete_is_recreated_for_another_template():
    cluster = Cluster.of({"cache": CACHE})
    cluster.live(2)
    assert jobs_deleted(cluster) == []
    ((key, before),) = [(key, one) for key, one in cluster.owned.items() if key[0] == "Job"]
    cluster.change(cache={**CACHE, "preloadResources": {"limits": {"memory": "4Gi"}}})
    assert len(jobs_deleted(cluster)) == 1
    cluster.operate()
    assert cluster.owned[key].template_digest != before.template_digest
    assert jobs_deleted(cluster) == []


def test_a_complete_job_is_left_alone_whatever_its_template_is():
    cluster = Cluster.of({"cache": CACHE})
    cluster.live(2)
    for key, one in cluster.owned.items():
        if key[0] == "Job":
            cluster.owned[key] = replace(one, is_complete=True)
    cluster.change(server={"image": "example.com/pod:2"})
    assert jobs_deleted(cluster) == []
