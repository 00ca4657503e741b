"""The fields that the operator owns in an object, and their digest."""

import json

import pytest
from fakes.clusters import RELEASE, Cluster
from fakes.live_objects import live

from flamingo_operator.cluster import projection
from flamingo_operator.manifests import owned_objects


def manifests():
    cluster = Cluster.of()
    return owned_objects.build_manifests(cluster.deployment, RELEASE, 2)


@pytest.mark.parametrize("manifest", manifests(), ids=lambda one: one["kind"])
def test_the_digest_of_a_live_object_ignores_fields_of_others(manifest):
    raw = live(manifest, status={"replicas": 3})
    raw["metadata"]["generation"] = 7
    assert projection.digest_of_live(raw) == projection.digest_of_manifest(manifest)


def test_a_field_that_another_manager_changed_or_owns_changes_the_digest():
    service = next(one for one in manifests() if one["kind"] == "Service")
    raw = json.loads(json.dumps(live(service)))
    raw["spec"]["clusterIP"] = "10.0.0.1"
    assert projection.digest_of_live(raw) != projection.digest_of_manifest(service)
    lost = json.loads(json.dumps(live(service)))
    del lost["metadata"]["managedFields"][0]["fieldsV1"]["f:spec"]["f:selector"]
    assert projection.digest_of_live(lost) != projection.digest_of_manifest(service)


def test_owned_list_items_keep_the_order_of_the_list():
    raw = [{"name": "theirs"}, {"name": "b", "port": 2, "protocol": "TCP"}, {"name": "a"}]
    fields = {
        'k:{"name":"a"}': {".": {}, "f:name": {}},
        'k:{"name":"b"}': {".": {}, "f:name": {}, "f:port": {}},
    }
    assert projection.owned_fields(raw, fields) == [{"name": "b", "port": 2}, {"name": "a"}]
    assert projection.owned_fields(["x", "y"], {'v:"y"': {}}) == ["y"]


def test_the_number_of_replicas_is_ours_only_while_we_own_the_field():
    manifest = next(one for one in manifests() if one["kind"] == "Deployment")
    ours = live({**manifest, "spec": {**manifest["spec"], "replicas": 4}})
    assert projection.owned_replicas(ours) == 4
    theirs = live(manifest)
    theirs["spec"] = {**theirs["spec"], "replicas": 4}
    assert projection.owned_replicas(theirs) is None


def test_what_the_api_server_adds_to_a_reference_is_no_drift():
    service = next(one for one in manifests() if one["kind"] == "Service")
    given = {"env": [{"valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]}
    wanted = {**service, "spec": given, "metadata": {**service["metadata"], "fieldRef": "text"}}
    raw = json.loads(json.dumps(live(wanted)))
    raw["spec"]["env"][0]["valueFrom"]["fieldRef"]["apiVersion"] = "v1"
    assert projection.digest_of_live(raw) == projection.digest_of_manifest(wanted)
    raw["spec"]["env"][0]["valueFrom"]["fieldRef"]["fieldPath"] = "spec.hostname"
    assert projection.digest_of_live(raw) != projection.digest_of_manifest(wanted)
