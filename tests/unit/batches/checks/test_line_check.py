"""What one line must be; all of its faults are found at once."""

import json

import pytest

from flamingo_batches.checks import line_check
from flamingo_batches.checks.line_check import CheckedLine

CAPTIONS = "/v1/audio/captions"
VALID = {
    "custom_id": "a",
    "method": "POST",
    "url": CAPTIONS,
    "body": {"audio": {"file_id": "file-1"}, "max_tokens": 4},
}


def checked(**changes):
    line = {name: value for name, value in (VALID | changes).items() if value is not ...}
    return line_check.check(json.dumps(line).encode(), 7, CAPTIONS)


def test_a_valid_line_has_its_id_and_its_clips():
    line = checked()
    assert isinstance(line, CheckedLine)
    assert line.custom_id == "a"
    assert [reference.file_id for reference in line.references] == ["file-1"]


def test_lines_about_the_same_clip_have_the_same_key():
    other = {"audio": {"file_id": "file-1"}, "prompt": "What?"}
    assert checked().clip_key == checked(body=other).clip_key
    assert checked().clip_key != checked(body={"audio": {"file_id": "file-2"}}).clip_key


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"custom_id": ...}, "invalid_custom_id", "custom_id"),
        ({"custom_id": "x" * 513}, "invalid_custom_id", "custom_id"),
        ({"method": "GET"}, "invalid_method", "method"),
        ({"url": "/v1/embeddings"}, "mismatched_url", "url"),
        ({"body": []}, "invalid_body", "body"),
        ({"priority": 1}, "unknown_parameter", "priority"),
        ({"body": VALID["body"] | {"stream": True}}, "invalid_body", "body.stream"),
        ({"body": VALID["body"] | {"max_tokens": 0}}, "invalid_request", "body.max_tokens"),
        ({"body": {"audio": {}}}, "invalid_request", "body.audio"),
        ({"body": {"audio": {"file_id": 1}}}, "invalid_body", "body"),
    ],
)
def test_a_fault_is_reported_with_its_line_and_place(changes, code, param):
    (fault,) = checked(**changes)
    assert (fault.code, fault.line, fault.param) == (code, 7, param)


def test_all_faults_of_a_line_are_reported():
    codes = [fault.code for fault in checked(custom_id=1, method="GET", url="/")]
    assert codes == ["invalid_custom_id", "invalid_method", "mismatched_url"]


def test_a_line_that_is_not_json_is_reported():
    (fault,) = line_check.check(b"{", 3, CAPTIONS)
    assert (fault.code, fault.line) == ("invalid_json_line", 3)


def test_results_are_json_so_an_npy_file_is_refused():
    line = VALID | {"url": "/v1/audio/embeddings"}
    line["body"] = {"audio": {"data": "AAAA"}, "encoding_format": "npy"}
    (fault,) = line_check.check(json.dumps(line).encode(), 1, "/v1/audio/embeddings")
    assert fault.param == "body.encoding_format"
