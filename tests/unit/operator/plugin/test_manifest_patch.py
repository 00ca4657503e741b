"""The patch that `kubectl apply` would send."""

import json

import pytest
from fakes.objects import merged

from flamingo_operator.plugin import manifest_patch


def stored(spec, applied=None, **metadata):
    text = json.dumps({"spec": applied}) if applied is not None else None
    annotations = {manifest_patch.LAST_APPLIED: text} if text else {}
    return {"metadata": {"name": "music", "annotations": annotations, **metadata}, "spec": spec}


def applied(before, manifest):
    return merged(before, manifest_patch.apply_patch(before, manifest))["spec"]


@pytest.mark.parametrize(
    ("spec", "last", "now", "expected"),
    [
        (
            {"replicas": 5, "a": {"b": 1}},
            {"a": {"b": 1}},
            {"a": {"b": 2}},
            {"replicas": 5, "a": {"b": 2}},
        ),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {"a": {}}, {"a": {"c": 2}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 1}}, {}, {}),
        ({"a": [1, 2]}, {"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, None, {"x": 1}, {"a": {"b": 1}, "x": 1}),
        ({"a": 1}, {"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_a_manifest_sets_its_fields_and_removes_those_that_it_had(spec, last, now, expected):
    assert applied(stored(spec, last), {"spec": now}) == expected


def test_who_applied_last_by_server_side_apply_is_found():
    entries = [
        {"manager": "flamingo-operator", "operation": "Apply", "subresource": "status"},
        {"manager": "kubectl-edit", "operation": "Update"},
        {"manager": "argocd-controller", "operation": "Apply"},
    ]
    assert (
        manifest_patch.server_side_manager(stored({}, managedFields=entries)) == "argocd-controller"
    )
    assert manifest_patch.server_side_manager(stored({}, {}, managedFields=entries)) is None
    assert manifest_patch.server_side_manager(stored({})) is None


def test_the_difference_makes_one_object_of_the_other():
    before = {"a": {"b": 1, "c": 2}, "d": [1], "e": {"f": 1}}
    after = {"a": {"b": 1, "c": 3}, "d": [1, 2], "g": 1}
    patch = manifest_patch.difference(before, after)
    assert patch == {"a": {"c": 3}, "d": [1, 2], "e": None, "g": 1}
    assert merged(before, patch) == after
    assert manifest_patch.difference(after, after) == {}
