"""Validation of a schedule."""

import pytest
from pydantic import ValidationError

from flamingo_operator.api.rules import violations
from flamingo_operator.api.schedule import Schedule


def office(**fields):
    whole = {"name": "office", "start": "08:00", "end": "20:00", "minReplicas": 3}
    return Schedule.model_validate({**whole, **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"timeZone": "Europe/Pariss"}, "is not a known time zone"),
        ({"timeZone": "../etc/passwd"}, "pattern"),
        ({"start": "24:00"}, "pattern"),
        ({"days": []}, "at least 1"),
        ({"days": ["Mon", "Mon"]}, "duplicate values"),
    ],
)
def test_an_invalid_schedule_is_rejected(fields, message):
    with pytest.raises(ValidationError, match=message):
        office(**fields)


def test_a_schedule_without_limits_violates_a_rule():
    assert list(violations(office(minReplicas=None))) == [
        "at least one of minReplicas and maxReplicas must be set"
    ]
    assert "minReplicas must not exceed maxReplicas" in next(violations(office(maxReplicas=1)))
