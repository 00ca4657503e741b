"""A whole input file: ids are unique, clips exist, and lines of a clip are sent together."""

import json

from hypothesis import given
from hypothesis import strategies as st

from flamingo_batches.checks import input_check
from flamingo_batches.checks.input_check import CheckedInput
from flamingo_batches.records import PlannedLine, StoredFile

CAPTIONS = "/v1/audio/captions"


def checked(lines, *, max_lines=100, sources=()):
    found = CheckedInput(CAPTIONS, max_lines, sources)
    for number, (custom_id, audio) in enumerate(lines, start=1):
        line = {"custom_id": custom_id, "method": "POST", "url": CAPTIONS, "body": {"audio": audio}}
        found.add(json.dumps(line).encode(), number, 1000 * number)
    return found


def codes(found):
    found.finish()
    return [(fault.line, fault.code) for fault in found.faults]


def test_an_id_that_was_used_before_is_refused():
    clip = {"data": "AAAA"}
    assert codes(checked([("a", clip), ("b", clip), ("a", clip)])) == [(3, "duplicate_custom_id")]


def test_a_clip_must_be_a_file_of_the_owner_with_the_right_purpose():
    found = checked([("a", {"file_id": "x"}), ("b", {"file_id": "y"}), ("c", {"file_id": "z"})])
    owned = {
        "x": StoredFile("x", "", "user_data", "x", 1, 0, None),
        "y": StoredFile("y", "", "batch", "y", 1, 0, None),
    }
    found.check_files(owned)
    assert codes(found) == [(2, "clip_not_allowed"), (3, "clip_not_found")]
    assert [*input_check.file_ids(found)] == ["x", "y", "z"]


def test_a_bucket_must_be_allowed():
    lines = [("a", {"url": "s3://music/a/b.mp3"}), ("b", {"url": "s3://music-private/b"})]
    assert codes(checked(lines, sources=["s3://music/"])) == [(2, "clip_not_allowed")]
    assert [line for line, _ in codes(checked(lines))] == [1, 2]


def test_too_many_lines_and_none_are_refused():
    clip = {"data": "AAAA"}
    assert codes(checked([("a", clip), ("b", clip)], max_lines=1)) == [(None, "too_many_lines")]
    assert codes(checked([])) == [(None, "empty_file")]


def test_faults_beyond_the_limit_are_counted():
    found = checked([("", {}) for _ in range(10)], max_lines=5000)
    for number in range(11, 1500):
        found.add(b"x", number, 0)
    found.finish()
    assert len(found.faults) == input_check.MAX_FAULTS + 1
    assert found.faults[-1].message == f"{found.num_faults - 1000} more faults are not listed"


@given(st.lists(st.sampled_from([b"", b"one", b"two", b"three"]), max_size=30))
def test_lines_of_a_clip_are_sent_one_after_the_other_and_none_is_lost(keys):
    places = [(key, PlannedLine(0, number, number, 1)) for number, key in enumerate(keys)]
    lines = input_check.planned(places)
    assert sorted(line.number for line in lines) == [*range(len(keys))]
    assert [line.position for line in lines] == [*range(len(keys))]
    sent = [keys[line.number] for line in lines if keys[line.number]]
    changes = [key for at, key in enumerate(sent) if at == 0 or sent[at - 1] != key]
    assert len(changes) == len(set(sent))
