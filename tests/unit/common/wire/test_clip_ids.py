"""The ids of clips: the same for one caller everywhere, and useless to another."""

from flamingo_common.wire import clip_ids

CONTENT = bytes(32)


def test_an_id_depends_on_the_contents_and_on_the_caller():
    alice, bob = clip_ids.clip_id(CONTENT, b"alice"), clip_ids.clip_id(CONTENT, b"bob")
    assert clip_ids.is_clip_id(alice)
    assert alice == clip_ids.clip_id(CONTENT, b"alice")
    assert len({alice, bob, clip_ids.clip_id(bytes(31) + b"1", b"alice")}) == 3


def test_the_name_in_reports_is_another_one_for_a_caller_who_has_someone_elses_id():
    alice = clip_ids.clip_id(CONTENT, b"alice")
    assert clip_ids.held_name(alice, b"alice") != clip_ids.held_name(alice, b"bob")
    assert alice.removeprefix(clip_ids.PREFIX) not in clip_ids.held_name(alice, b"alice")


def test_callers_with_long_names_have_ids_of_their_own():
    long = b"team-" * 40
    assert clip_ids.clip_id(CONTENT, long + b"1") != clip_ids.clip_id(CONTENT, long + b"2")
