from pathlib import Path

import pytest

from flamingo.batch.sources.path_list import PathList


def test_paths_and_urls_are_their_own_keys():
    source = PathList([Path("a.wav"), "https://example.org/b.mp3"])

    assert [entry.key for entry in source.items()] == ["a.wav", "https://example.org/b.mp3"]
    assert [source.audio(item) for item in source.items()] == [
        entry.key for entry in source.items()
    ]


def presigned(date, signature):
    return (
        "https://songs.s3.amazonaws.com/a%20b.mp3?versionId=7&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Date={date}&X-Amz-Expires=3600&x-amz-signature={signature}&X-Amz-Security-Token=t"
    )


def test_a_url_that_is_signed_again_has_the_same_key_and_is_read_as_it_is():
    urls = [presigned("20260101T000000Z", "abc"), presigned("20260102T000000Z", "def")]
    source = PathList(urls)
    key = "https://songs.s3.amazonaws.com/a%20b.mp3?versionId=7"
    assert [item.key for item in source.items()] == [key, key]
    assert [source.audio(item) for item in source.items()] == urls


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://h/a.mp3?GoogleAccessId=me&Expires=9&Signature=s", "https://h/a.mp3"),
        ("https://h/a.mp3?Expires=9&Signature=s&Key-Pair-Id=k&Policy=p", "https://h/a.mp3"),
        ("https://h/c/a.mp3?sv=2024&st=1&se=2&sr=b&sp=r&sig=s%3D", "https://h/c/a.mp3"),
        ("https://me:pw@h:8443/a.mp3#t=9", "https://h:8443/a.mp3"),
        ("HTTPS://h/clip?id=17&token=s3cret", "HTTPS://h/clip?id=17"),
        ("https://h/clip?id=17&part=a+b", "https://h/clip?id=17&part=a+b"),
        ("https://h/clip?st=17&sr=2", "https://h/clip?st=17&sr=2"),
        ("https://h/clip?x%2Damz%2Dsignature=s", "https://h/clip"),
        ("https://[bad?sig=s", "https://[bad"),
        ("songs/a?token=b#c.mp3", "songs/a?token=b#c.mp3"),
    ],
)
def test_only_what_signs_a_url_is_not_in_its_key(url, key):
    assert [item.key for item in PathList([url]).items()] == [key]


@pytest.mark.parametrize("path", ["songs/", Path("songs")])
def test_one_path_is_refused_and_not_taken_for_a_list_of_letters(path):
    with pytest.raises(TypeError, match=r"a folder or a table is open_source\("):
        PathList(path)
