"""RFC 3339 timestamps, as Kubernetes writes them."""

import pytest

from flamingo_operator.api import timestamps

UNIX_S = 1_800_000_000.25


def test_a_time_has_whole_seconds():
    assert timestamps.encode(UNIX_S) == "2027-01-15T08:00:00Z"
    assert timestamps.parse(timestamps.encode(UNIX_S)) == 1_800_000_000.0


def test_a_micro_time_has_microseconds():
    assert timestamps.encode_micro(UNIX_S) == "2027-01-15T08:00:00.250000Z"
    assert timestamps.parse(timestamps.encode_micro(UNIX_S)) == UNIX_S


def test_an_offset_is_taken_into_account():
    assert timestamps.parse("2027-01-15T09:00:00+01:00") == 1_800_000_000.0


def test_an_absent_timestamp_stays_absent():
    assert timestamps.parse_optional(None) is None
    assert timestamps.parse_optional("2027-01-15T08:00:00Z") == 1_800_000_000.0


def test_other_text_is_an_error():
    with pytest.raises(ValueError, match="tomorrow"):
        timestamps.parse("tomorrow")
