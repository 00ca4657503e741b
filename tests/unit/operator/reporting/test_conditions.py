"""The conditions of a FlamingoDeployment."""

from dataclasses import replace

import pytest
from control_plane.deployments import INTERNAL
from fakes.clusters import Cluster
from fakes.operator_inputs import decisions, demand_for

from flamingo_operator.reporting.conditions import ConditionInputs, compute_conditions


def last(found):
    *_, one = found
    return one


@pytest.mark.parametrize(
    ("demands", "active", "limited"),
    [
        ([demand_for(2.0)] * 2, "Internal", "DesiredWithinRange"),
        ([demand_for(9.0)] * 5, "Internal", "TooManyReplicas"),
        ([None] * 20, "SignalLost", "DesiredWithinRange"),
    ],
)
def test_conditions_report_whether_scaling_works_and_what_limits_it(demands, active, limited):
    cluster = Cluster.of({"scaling": INTERNAL})
    decision = replace(cluster.decide(), desired=last(decisions(demands)))
    reasons = {
        one.type: one.reason
        for one in compute_conditions(
            ConditionInputs(cluster.deployment, cluster.observed, decision, [], [])
        )
    }
    assert reasons["ScalingActive"] == active
    assert reasons["ScalingLimited"] == limited


def test_ready_reports_a_refusal_before_its_consequences():
    cluster = Cluster.of()
    inputs = ConditionInputs(cluster.deployment, cluster.observed, cluster.decide(), [], [])
    ready = next(compute_conditions(inputs))
    assert (ready.type, ready.reason) == ("Ready", "RouterNotReady")
    refused = next(compute_conditions(replace(inputs, rejections=["no such priority class"])))
    assert (refused.type, refused.status, refused.reason) == ("Ready", "False", "NotAccepted")
