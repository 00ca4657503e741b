"""The table of conditions and their reasons."""

import pytest

from flamingo_operator.diagnosis.causes import ORDER as CAUSES
from flamingo_operator.reporting import reasons
from flamingo_operator.reporting.reasons import CONDITIONS


def severity(kind, status, reason):
    return reasons.severity({"type": kind, "status": status, "reason": reason})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (("Ready", "True", "PartiallyReady"), "ok"),
        (("Ready", "False", "Loading"), "waiting"),
        (("Ready", "False", "GPUFault"), "problem"),
        (("Reconciling", "True", "RolloutInProgress"), "waiting"),
        (("Stalled", "False", "AsExpected"), "ok"),
        (("Stalled", "True", "RolledBack"), "problem"),
        (("Degraded", "True", "QuotaExceeded"), "problem"),
        (("Ready", "False", "OfAnotherRelease"), "problem"),
        (("OfAnotherRelease", "False", "Unknown"), "ok"),
    ],
)
def test_what_is_not_ready_yet_needs_no_attention_and_what_fails_does(condition, expected):
    assert severity(*condition) == expected


@pytest.mark.parametrize("kind", CONDITIONS)
def test_a_type_has_a_reason_for_the_status_at_rest_and_another_for_a_different_one(kind):
    condition = CONDITIONS[kind]
    statuses = {reason.status for reason in condition.reasons.values()}
    assert condition.normal in statuses
    assert len(statuses) > 1
    at_rest = [one for one in condition.reasons.values() if one.status == condition.normal]
    assert not any(one.is_problem for one in at_rest)


@pytest.mark.parametrize("kind", [kind for kind, one in CONDITIONS.items() if one.has_causes])
def test_a_cause_that_is_listed_as_a_reason_too_has_the_same_status(kind):
    condition = CONDITIONS[kind]
    listed = [condition.reasons[one].status for one in condition.reasons.keys() & set(CAUSES)]
    assert set(listed) <= {condition.cause.status}


def test_a_reason_that_is_not_listed_cannot_be_reported():
    with pytest.raises(KeyError):
        reasons.find("Ready", "Fine")
