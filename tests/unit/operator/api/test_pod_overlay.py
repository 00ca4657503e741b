"""Which overlays of pod templates are valid."""

import pytest
from control_plane.bad_pods import BAD_PODS
from control_plane.deployments import deployment
from control_plane.overlays import BAD, GOOD

from flamingo_operator.api import spec
from flamingo_operator.api.spec import SpecError


@pytest.mark.parametrize("case", GOOD, ids=lambda case: case.id)
def test_a_valid_overlay_is_kept_as_it_is(case):
    parsed = spec.parse(case.body).spec
    for name, block in case.spec.items():
        assert getattr(parsed, name).pod_template == block["podTemplate"]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case.id)
def test_what_breaks_the_contract_is_refused(case):
    with pytest.raises(SpecError) as caught:
        spec.parse(case.body)
    (error,) = caught.value.errors
    (expected,) = case.errors
    assert expected in error
    assert "podTemplate" in error


@pytest.mark.parametrize("case", BAD_PODS, ids=lambda case: case.id)
def test_a_field_of_the_block_is_judged_as_in_a_pod(case):
    with pytest.raises(SpecError) as caught:
        spec.parse(case.body)
    assert all(case.errors[0] in error for error in caught.value.errors)


def test_what_a_newer_release_put_into_an_object_is_kept_for_the_pod():
    """The API server judged it when it was stored, and judges it again in the pod."""
    given = {
        "tolerations": [{"key": "a", "operator": "Contains", "new": 1}],
        "podTemplate": {"spec": {"newField": {"a": 1}, "dnsPolicy": "New"}},
    }
    parsed, faults = spec.validate(deployment({"server": given}))
    assert faults == []
    assert parsed.spec.server.tolerations == given["tolerations"]
    assert parsed.spec.server.pod_template == given["podTemplate"]


def test_what_breaks_the_contract_is_refused_also_in_a_stored_object():
    given = {"podTemplate": {"spec": {"hostNetwork": True}}}
    parsed, faults = spec.validate(deployment({"server": given}))
    assert parsed is None
    assert "must not contain activeDeadlineSeconds, hostNetwork" in faults[0].message
