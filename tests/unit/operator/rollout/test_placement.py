"""Whether a pod may run on a node."""

import pytest

from flamingo_operator.rollout.placement import REQUIRED, may_run_on

LABELS = {"pool": "audio", "nvidia.com/gpu.memory": "81559"}


def spec(*expressions, fields=()):
    term = {"matchExpressions": list(expressions), "matchFields": list(fields)}
    return {"affinity": {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": [term]}}}}


def rule(key, operator, *values):
    return {"key": key, "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("given", "may"),
    [
        ({}, True),
        ({"nodeSelector": {"pool": "audio"}}, True),
        ({"nodeSelector": {"pool": "video"}}, False),
        (spec(rule("pool", "In", "audio", "video")), True),
        (spec(rule("pool", "NotIn", "audio")), False),
        (spec(rule("zone", "Exists")), False),
        (spec(rule("zone", "DoesNotExist")), True),
        (spec(rule("nvidia.com/gpu.memory", "Gt", "40000")), True),
        (spec(rule("nvidia.com/gpu.memory", "Lt", "40000")), False),
        (spec(rule("pool", "Gt", "1")), False),
        (spec(rule("pool", "Unheard", "1")), True),
        (spec(fields=[rule("metadata.name", "NotIn", "node-1")]), False),
        (spec(fields=[rule("metadata.name", "NotIn", "node-2")]), True),
    ],
)
def test_node_selector_and_required_affinity_are_read_as_the_scheduler_does(given, may):
    assert may_run_on(given, "node-1", LABELS) is may


def test_the_terms_of_an_affinity_are_alternatives():
    given = spec(rule("zone", "Exists"))
    terms = given["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    terms.append({"matchExpressions": [rule("pool", "In", "audio")]})
    assert may_run_on(given, "node-1", LABELS)
