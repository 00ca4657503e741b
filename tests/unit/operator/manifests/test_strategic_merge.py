"""Strategic merges of pod templates."""

from flamingo_operator.api import pod_schema
from flamingo_operator.manifests import strategic_merge

SPEC = {"$ref": "PodSpec"}


def merged(base, patch):
    return strategic_merge.merge(SPEC, base, patch)


def containers(*items):
    return {"containers": [*items]}


def test_a_scalar_is_replaced_and_other_fields_stay():
    base = {"dnsPolicy": "Default", "hostname": "a"}
    assert merged(base, {"hostname": "b"}) == {"dnsPolicy": "Default", "hostname": "b"}


def test_an_object_is_merged_field_by_field():
    base = {"securityContext": {"runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}}}
    changed = merged(base, {"securityContext": {"runAsUser": 2, "fsGroup": 3}})
    assert changed["securityContext"] == {
        "runAsUser": 2,
        "seccompProfile": {"type": "RuntimeDefault"},
        "fsGroup": 3,
    }


def test_a_map_is_merged_key_by_key():
    base = {"nodeSelector": {"zone": "a", "pool": "b"}}
    assert merged(base, {"nodeSelector": {"zone": "c"}}) == {
        "nodeSelector": {"zone": "c", "pool": "b"}
    }


def test_an_atomic_list_is_replaced():
    base = {"tolerations": [{"key": "a"}, {"key": "b"}]}
    assert merged(base, {"tolerations": [{"key": "c"}]}) == {"tolerations": [{"key": "c"}]}


def test_a_container_is_merged_by_name():
    base = containers({"name": "server", "image": "a", "args": ["x"]})
    patch = containers({"name": "server", "image": "b"})
    assert merged(base, patch) == containers({"name": "server", "image": "b", "args": ["x"]})


def test_lists_in_a_container_are_merged_by_their_keys():
    base = containers(
        {
            "name": "server",
            "env": [{"name": "A", "value": "1"}],
            "volumeMounts": [{"name": "tmp", "mountPath": "/data"}],
            "ports": [{"containerPort": 8000, "name": "http"}],
        }
    )
    patch = containers(
        {
            "name": "server",
            "env": [{"name": "A", "value": "2"}],
            "volumeMounts": [{"name": "other", "mountPath": "/data"}],
            "ports": [{"containerPort": 8000, "hostPort": 80}],
        }
    )
    assert merged(base, patch) == containers(
        {
            "name": "server",
            "env": [{"name": "A", "value": "2"}],
            "volumeMounts": [{"name": "other", "mountPath": "/data"}],
            "ports": [{"containerPort": 8000, "name": "http", "hostPort": 80}],
        }
    )


def test_a_new_item_comes_before_those_that_only_the_base_has():
    base = containers({"name": "server"})
    patch = containers({"name": "proxy", "image": "p"})
    assert [one["name"] for one in merged(base, patch)["containers"]] == ["proxy", "server"]


def test_an_item_of_the_base_keeps_its_place_before_a_patched_one():
    base = containers({"name": "a"}, {"name": "b"}, {"name": "c"})
    patch = containers({"name": "c", "image": "x"}, {"name": "new"})
    names = [one["name"] for one in merged(base, patch)["containers"]]
    assert names == ["a", "b", "c", "new"]


def test_a_volume_gets_another_source():
    base = {"volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}, {"name": "b"}]}
    patch = {"volumes": [{"name": "scratch", "hostPath": {"path": "/fast"}}]}
    assert merged(base, patch) == {
        "volumes": [{"name": "scratch", "hostPath": {"path": "/fast"}}, {"name": "b"}]
    }


def test_a_volume_s_source_is_merged_with_the_same_source():
    base = {"volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory"}}]}
    patch = {"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]}
    assert merged(base, patch) == {
        "volumes": [{"name": "scratch", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}]
    }


def test_two_items_of_the_base_with_the_same_key_are_both_kept():
    ports = [{"containerPort": 53, "protocol": "TCP"}, {"containerPort": 53, "protocol": "UDP"}]
    base = containers({"name": "dns", "ports": ports})
    patch = containers({"name": "dns", "ports": [{"containerPort": 80}]})
    assert merged(base, patch)["containers"][0]["ports"] == [{"containerPort": 80}, *ports]


def test_neither_the_base_nor_the_patch_is_changed():
    base = containers({"name": "server", "env": [{"name": "A"}]})
    patch = containers({"name": "server", "env": [{"name": "B"}]})
    merged(base, patch)
    assert base == containers({"name": "server", "env": [{"name": "A"}]})
    assert patch == containers({"name": "server", "env": [{"name": "B"}]})


def test_every_list_that_merges_has_items_with_its_key():
    for kind in pod_schema.names():
        for name, node in pod_schema.definition(kind).get("properties", {}).items():
            if "merge" in node.get(pod_schema.PATCH_STRATEGY, ""):
                item = pod_schema.resolve(node["items"])
                assert node[pod_schema.PATCH_MERGE_KEY] in item["required"], (kind, name)
