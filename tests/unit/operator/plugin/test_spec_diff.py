"""The difference between two specs, and which of it changes the server pods."""

import pytest
from fakes.clusters import Cluster

from flamingo_operator.plugin import spec_diff

MODEL = {"model": {"id": "flamingo-tiny"}}
CLAIM = {"type": "PersistentVolumeClaim"}


def whole(spec, **metadata):
    return {"metadata": metadata, "spec": spec}


def test_changes_are_listed_field_by_field():
    before = whole({"replicas": 1, "gpu": {"products": ["A"]}, "cost": {"currency": "EUR"}})
    after = whole({"replicas": 2, "gpu": {"products": ["A", "B"]}}, labels={"a.example/b": "c"})
    assert [
        (one.field, one.before, one.after) for one in spec_diff.object_changes(before, after)
    ] == [
        ("metadata.labels[a.example/b]", "", '"c"'),
        ("spec.cost", '{"currency": "EUR"}', ""),
        ("spec.gpu.products", '["A"]', '["A", "B"]'),
        ("spec.replicas", "1", "2"),
    ]
    assert spec_diff.object_changes(after, after) == []


def test_what_kubectl_and_helm_note_about_themselves_is_no_change():
    noted = {
        "kubectl.kubernetes.io/last-applied-configuration": "{}",
        "meta.helm.sh/release-name": "music",
        "meta.helm.sh/release-namespace": "audio",
    }
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    after = whole({}, annotations=noted, labels=labels, generation=2)
    assert spec_diff.object_changes(whole({}), after) == []


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"replicas": 1}, {"replicas": 4, "suspend": True, "paused": True}, []),
        (
            {"server": {}},
            {"server": {"args": ["-x"]}, "replicas": 2},
            ["spec.server.args"],
        ),
        (
            {"cache": {**CLAIM, "persistentVolumeClaim": {"size": "1Gi"}}},
            {"cache": {**CLAIM, "persistentVolumeClaim": {"size": "2Gi", "retain": False}}},
            [],
        ),
        (
            {"server": {"podMetadata": {"annotations": {"a": "b"}}}},
            {"server": {"podMetadata": {"annotations": {"a": "b", "x.example/y": "z"}}}},
            ["spec.server.podMetadata.annotations[x.example/y]"],
        ),
    ],
)
def test_the_fields_that_change_the_pods_are_named(before, after, expected):
    assert spec_diff.template_changes("music", MODEL | before, MODEL | after) == expected


def test_fields_that_cannot_be_changed_alone_are_named_together():
    after = {"cache": {**CLAIM, "persistentVolumeClaim": {"size": "1Gi"}}}
    spec = Cluster.of(after).body["spec"]
    found = spec_diff.template_changes("music", MODEL | {"cache": {"type": "EmptyDir"}}, spec)
    assert found == ["spec.cache.persistentVolumeClaim", "spec.cache.type"]


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (("a", "b"), 1, {"a": {"b": 1, "c": 2}}),
        (("a", "b"), None, {"a": {"c": 2}}),
        (("x", "y"), 1, {"a": {"b": 0, "c": 2}, "x": {"y": 1}}),
        (("a",), None, {}),
    ],
)
def test_one_field_is_replaced_without_a_change_of_the_others(path, value, expected):
    spec = {"a": {"b": 0, "c": 2}}
    assert spec_diff.with_value(spec, path, value) == expected
    assert spec == {"a": {"b": 0, "c": 2}}
    assert spec_diff.value_at(expected, path) == value


def test_items_with_names_are_compared_by_name():
    def whole(*containers):
        spec = {"server": {"podTemplate": {"spec": {"containers": [*containers]}}}}
        return {"metadata": {}, "spec": spec}

    logger, proxy = {"name": "logger", "image": "a:1"}, {"name": "proxy", "image": "b:1"}
    newer = {**logger, "image": "a:2"}
    changes = spec_diff.object_changes(whole(logger, proxy), whole(proxy, newer))
    assert [(one.field, one.before, one.after) for one in changes] == [
        ("spec.server.podTemplate.spec.containers[logger].image", '"a:1"', '"a:2"')
    ]
