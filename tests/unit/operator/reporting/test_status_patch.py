"""Merge patches of a status."""

from fakes.objects import merged
from hypothesis import given
from hypothesis import strategies as st

from flamingo_operator.reporting import status_patch

VALUES = st.recursive(
    st.integers() | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, min_size=1, max_size=3),
    max_leaves=6,
)
STATUSES = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(STATUSES, STATUSES)
def test_a_patch_turns_one_status_into_the_other(old, new):
    patch = status_patch.merge_patch(old, new)
    assert merged(old, patch) == new
    assert bool(patch) == (old != new)


def test_the_fields_that_an_api_server_rejects_are_found_in_its_message():
    message = (
        'FlamingoDeployment.flamingo.dev "music" is invalid: [status.failures[0].severity:'
        ' Required value, status.scaling.reason: Unsupported value: "Demand"]'
    )
    assert status_patch.invalid_fields(message) == {"failures", "scaling"}
    assert status_patch.without({"failures": [], "replicas": 1}, {"failures"}) == {"replicas": 1}
