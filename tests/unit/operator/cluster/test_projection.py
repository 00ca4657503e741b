"""The fields that the operator owns in an object, and their digest."""

import json

import pytest
from fakes.clusters import RELEASE, Cluster

from flamingo_operator.cluster import projection
from flamingo_operator.manifests import owned_objects


def fields_of(value):
    """Return the FieldsV1 set of a manager that applied `value`, lists being atomic."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{key}": fields_of(inner) for key, inner in value.items()}


def live(manifest, *, version=1, uid="u-9", **more):
    said = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    metadata = dict(said["metadata"])
    applied = {key: value for key, value in metadata.items() if key not in ("name", "namespace")}
    ours = {"manager": "flamingo-operator", "operation": "Apply"}
    ours["fieldsV1"] = fields_of({**said, "metadata": applied})
    metadata |= {"uid": uid, "resourceVersion": str(version), "managedFields": [ours]}
    return {**manifest, "metadata": metadata, **more}


def manifests():
    cluster = Cluster.of()
    return owned_objects.build_manifests(cluster.deployment, RELEASE, has_pod_monitors=True)


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
