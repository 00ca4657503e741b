"""Validation of what is copied into pods, without an API server."""

import pytest
from control_plane.pod_fields import BAD, GOOD

from flamingo_operator.api import pod_schema, schema_check


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_valid_value_has_no_errors(case):
    node = pod_schema.field(case.of, case.field)
    assert [*schema_check.type_errors(node, case.value)] == []
    assert [*schema_check.unknown_errors(node, case.value)] == []
    assert [*schema_check.rule_errors(node, case.value)] == []


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_an_error_has_the_path_of_the_value(case):
    node = pod_schema.field(case.of, case.field)
    found = [*schema_check.type_errors(node, case.value)]
    found += schema_check.unknown_errors(node, case.value)
    found = found or [*schema_check.rule_errors(node, case.value)]
    assert ["".join(f".{step}" for step in path) for path, _ in found] == [case.path]
    assert case.error in found[0][1]
