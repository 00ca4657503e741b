"""What a location is, and how it is taken apart."""

import pytest

from flamingo.batch.storage import location


@pytest.mark.parametrize(
    ("text", "is_bucket", "is_web"),
    [
        ("s3://songs/2024", True, False),
        ("GS://songs", True, False),
        ("az://container/a", True, False),
        ("https://example.org/a.tar", False, True),
        ("songs/a.mp3", False, False),
        ("/data/s3:/a.mp3", False, False),
    ],
)
def test_a_location_is_a_bucket_a_web_address_or_a_path(text, is_bucket, is_web):
    assert (location.is_bucket(text), location.is_web(text)) == (is_bucket, is_web)


@pytest.mark.parametrize(
    ("pattern", "root", "rest"),
    [
        ("songs/*.mp3", "songs", "*.mp3"),
        ("s3://songs/2024/*/a.flac", "s3://songs/2024", "*/a.flac"),
        ("s3://songs/a[12]/*.tar", "s3://songs", "a[12]/*.tar"),
        ("*.mp3", "", "*.mp3"),
        ("/*.mp3", "/", "*.mp3"),
    ],
)
def test_a_pattern_is_split_before_the_first_folder_with_a_wildcard(pattern, root, rest):
    assert location.split_pattern(pattern) == (root, rest)


def test_a_url_is_split_into_folder_and_file_or_bucket_and_object():
    assert location.split_file("s3://songs/a/b.tar") == ("s3://songs/a", "b.tar")
    assert location.split_file("s3://songs") == ("s3://songs", "")
    assert location.split_bucket("s3://songs/a/b.mp3") == ("s3://songs", "a/b.mp3")
