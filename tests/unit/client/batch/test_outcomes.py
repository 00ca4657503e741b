import pytest

from flamingo.batch.outcomes import ItemError, ItemResult, Outcome


@pytest.mark.parametrize(
    ("fields", "is_finished"),
    [
        ({"result": ItemResult(caption="slow")}, True),
        ({"error": ItemError("invalid_audio", "empty", can_retry=False)}, True),
        ({"error": ItemError("upstream_lost", "lost", can_retry=True)}, False),
    ],
)
def test_an_item_is_finished_unless_its_error_can_pass(fields, is_finished):
    assert Outcome("a.wav", **fields).is_finished is is_finished
