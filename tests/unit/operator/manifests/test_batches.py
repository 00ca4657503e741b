"""The objects of batches."""

import pytest
from control_plane.batch_deployments import AUTH, BUCKET, DATABASE, EVERYTHING, SHARED, STORAGE
from control_plane.deployments import deployment
from fakes.clusters import RELEASE

from flamingo_operator.api import names, spec
from flamingo_operator.manifests import (
    batches,
    network_policies,
    owned_objects,
    pod_template,
    router,
)

ONE = {"storage": STORAGE}


def parsed(given, **more):
    return spec.parse(deployment({"batches": given, **more}))


def objects(given, **more):
    made = batches.manifests(parsed(given, **more), RELEASE)
    return {one["kind"]: one for one in made}


def pod_of(given, **more):
    return objects(given, **more)["Deployment"]["spec"]["template"]["spec"]


def container(given, **more):
    (found,) = pod_of(given, **more)["containers"]
    return found


def test_without_batches_there_are_no_objects_of_it_and_routers_do_not_know_any():
    given = spec.parse(deployment())
    made = owned_objects.build_manifests(given, RELEASE, 1)
    assert not [one for one in made if one["metadata"]["name"] == "music-batches"]
    (args,) = (
        one["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in router.router_manifests(given, RELEASE)
        if one["kind"] == "Deployment"
    )
    assert not [one for one in args if "batches" in one]


def test_one_pod_keeps_everything_on_a_claim_that_it_releases_before_its_successor_starts():
    made = objects(ONE)
    claim, budget = "PersistentVolumeClaim", "PodDisruptionBudget"
    assert made.keys() == {"ServiceAccount", "Service", claim, budget, "Deployment"}
    # The pod of a claim may be evicted, too.
    assert made[budget]["spec"]["maxUnavailable"] == 1
    assert made["Deployment"]["spec"]["strategy"] == {"type": "Recreate"}
    assert made["Deployment"]["spec"]["replicas"] == 1
    assert {"name": "data", "mountPath": "/data"} in container(ONE)["volumeMounts"]
    args = set(container(ONE)["args"])
    assert {"--database-url=sqlite:////data/batches.db", "--contents-url=/data/contents"} <= args


def test_several_pods_share_a_database_and_a_bucket_and_are_replaced_one_by_one():
    made = objects({"replicas": 3, **SHARED})
    assert "PersistentVolumeClaim" not in made
    assert made["PodDisruptionBudget"]["spec"]["maxUnavailable"] == 1
    assert made["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "data" not in {one["name"] for one in pod_of(SHARED)["volumes"]}


def test_secrets_reach_the_pod_by_reference_and_are_in_no_flag():
    found = container(SHARED)
    (database,) = found["env"]
    assert database == {
        "name": "FLAMINGO_BATCHES_DATABASE_URL",
        "valueFrom": {"secretKeyRef": {"name": "batches-database", "key": "url"}},
    }
    assert found["envFrom"] == [{"secretRef": {"name": "bucket"}}]
    assert "--contents-url=s3://music/batches" in found["args"]
    assert not [one for one in found["args"] if one.startswith("--database-url")]


@pytest.mark.parametrize(
    ("given", "flag"),
    [
        ({"database": DATABASE, **ONE}, "--contents-url=/data/contents"),
        ({"contents": BUCKET, **ONE}, "--database-url=sqlite:////data/batches.db"),
    ],
)
def test_what_is_not_shared_is_on_the_claim(given, flag):
    assert flag in container(given)["args"]
    assert "PersistentVolumeClaim" in objects(given)


@pytest.mark.parametrize("retain", [True, False])
def test_the_garbage_collector_deletes_a_claim_only_if_it_is_not_retained(retain):
    claim = objects({"storage": {**STORAGE, "retain": retain}})["PersistentVolumeClaim"]
    assert ("ownerReferences" in claim["metadata"]) == (not retain)
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}


def test_lines_go_to_the_service_of_the_routers_and_routers_forward_to_batches():
    given = parsed(ONE, router={"service": {"port": 8080}})
    assert (
        "--server-url=http://music.default.svc:8080"
        in container(ONE, router={"service": {"port": 8080}})["args"]
    )
    (args,) = (
        one["spec"]["template"]["spec"]["containers"][0]["args"]
        for one in router.router_manifests(given, RELEASE)
        if one["kind"] == "Deployment"
    )
    assert "--batches-url=http://music-batches.default.svc" in args
    service = objects(ONE)["Service"]["spec"]
    assert service["selector"] == names.selector("music", "batches")
    assert service["ports"][0]["port"] == 80


def test_api_keys_are_files_from_the_secrets_of_the_fleet():
    args = container(ONE, auth=AUTH)["args"]
    assert {"--key-file=/keys/keys.yaml", "--server-key-file=/keys/batches-key"} <= set(args)
    (keys,) = (one for one in pod_of(ONE, auth=AUTH)["volumes"] if one["name"] == "keys")
    paths = [one["secret"]["items"] for one in keys["projected"]["sources"]]
    assert paths == [
        [{"key": "keys.yaml", "path": "keys.yaml"}],
        [{"key": "batches-key", "path": "batches-key"}],
    ]


def test_limits_are_flags_in_bytes():
    assert {
        "--max-file-bytes=104857600",
        "--max-stored-bytes-per-key=5368709120",
        "--max-active-batches-per-key=7",
        "--max-running-batches=4",
        "--max-concurrency=16",
    } <= set(container(EVERYTHING)["args"])


def test_the_disk_has_room_for_the_input_files_of_all_running_batches():
    (scratch,) = (one for one in pod_of(EVERYTHING)["volumes"] if one["name"] == "scratch")
    assert scratch["emptyDir"] == {"sizeLimit": "656Mi"}
    assert container(EVERYTHING)["resources"]["limits"]["ephemeral-storage"] == "1680Mi"


def test_all_fields_of_the_pod_and_the_overlay_reach_it():
    made = objects(EVERYTHING)
    pod, found = pod_of(EVERYTHING), container(EVERYTHING)
    assert made["PodDisruptionBudget"]["spec"]["minAvailable"] == "50%"
    assert pod["serviceAccountName"] == "bucket-reader"
    assert pod["initContainers"][0]["name"] == "sql-proxy"
    assert pod["tolerations"] == EVERYTHING["tolerations"]
    assert "runAsUser" not in pod["securityContext"]
    assert found["image"] == EVERYTHING["image"]
    assert found["resources"]["requests"]["cpu"] == "1"
    assert found["args"][-2:] == EVERYTHING["args"]
    assert found["volumeMounts"][-1]["name"] == "certificates"


def test_by_default_it_runs_the_image_of_the_release_without_rights_in_the_cluster():
    assert container(ONE)["image"] == RELEASE.batches_image
    assert pod_of(ONE)["serviceAccountName"] == "music-batches"
    assert objects(ONE)["ServiceAccount"]["automountServiceAccountToken"] is False
    assert pod_of(ONE)["securityContext"]["runAsNonRoot"]


def test_batches_admit_routers_and_scrapers_and_routers_always_admit_batches():
    given = parsed(ONE, networkPolicy={"clients": [], "scrapers": []})
    made = network_policies.network_policies(given, RELEASE)
    sources = {one["metadata"]["name"]: one["spec"]["ingress"][0]["from"] for one in made}
    pods = {
        one: {"podSelector": {"matchLabels": names.selector("music", one)}}
        for one in ("router", "batches")
    }
    assert sources["music-batches"] == [pods["router"]]
    assert pods["batches"] in sources["music-router"]
    assert pods["batches"] not in sources["music-servers"]


def test_a_change_of_batches_makes_no_new_revision_of_the_server_pods():
    hashes = {
        pod_template.template_hash(pod_template.build_template(one, RELEASE))
        for one in (spec.parse(deployment()), parsed(ONE), parsed(EVERYTHING))
    }
    assert len(hashes) == 1
