"""Serialization of response bodies."""

from flamingo_common.wire import responses


def test_a_delta_omits_unset_fields():
    assert responses.to_json_dict(responses.Delta(content="a")) == {"content": "a"}
    assert responses.to_json_dict(responses.Delta()) == {}
