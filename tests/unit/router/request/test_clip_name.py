"""Clip names: one for each clip, however it is sent."""

from flamingo_router.request.clip_name import clip_name, url_name
from flamingo_router.request.scan import SAMPLE_BYTES, Sample

SONG = bytes(range(256)) * 256


def test_a_clip_has_one_name_whatever_the_request():
    def name(total_bytes, head=SONG, tenant=""):
        return clip_name(Sample(head, total_bytes), total_bytes / 16_000, tenant=tenant)

    as_json, as_form = name(3_000_000, SONG[: SAMPLE_BYTES // 3 * 3]), name(3_000_200)
    assert as_json == as_form
    assert name(6_000_000) != as_form
    assert name(3_000_000, SONG[::-1]) != as_form
    assert name(3_000_000, tenant="a") != as_form
    assert clip_name(None, 0, tenant="") is None


def test_short_clips_are_distinguished_by_all_their_bytes():
    one, other = (clip_name(Sample(b"x" * n, n), 0.5, tenant="") for n in (1000, 1001))
    assert one != other


def test_a_clip_at_a_url_has_a_name_for_each_tenant():
    names = {
        url_name(url, tenant=tenant)
        for url in ("https://a.example/b", "https://a.example/c")
        for tenant in ("alice", "bob")
    }
    assert len(names) == 4
    assert url_name("https://a.example/b", tenant="alice") in names
