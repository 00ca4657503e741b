from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.encoding.clips import ClipIndex


def test_a_clip_is_cached_while_all_its_states_or_one_prefix_are():
    clips = ClipIndex()
    clips.register("song", [b"one", b"two"], b"prefix")
    changes = [
        (b"one", True),
        (b"two", True),
        (b"one", False),
        (b"prefix", True),
        (b"prefix", False),
    ]
    seen = []
    for key, is_cached in changes:
        clips.on_cache_change(key, is_cached)
        seen.append(clips.names())
    assert seen == [[], ["song"], [], ["song"], []]


def test_a_clip_registered_after_its_states_is_cached_at_once():
    clips = ClipIndex()
    clips.on_cache_change(b"one", True)
    clips.register("song", [b"one"], None)
    clips.register("the same song under another name", [b"one"], None)
    clips.register("silence", [], None)
    assert clips.names() == ["song", "the same song under another name"]
    clips.on_cache_change(b"one", False)
    assert clips.names() == []


def test_a_name_registered_again_means_the_new_clip():
    clips = ClipIndex()
    clips.on_cache_change(b"old", True)
    clips.register("song", [b"old"], None)
    clips.register("song", [b"new"], None)
    assert clips.names() == []


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("change"), st.integers(0, 7), st.booleans()),
            st.tuples(st.just("register"), st.integers(0, 5), st.sets(st.integers(0, 3))),
        )
    )
)
def test_the_names_are_always_those_whose_keys_are_cached(life):
    clips, cached, known = ClipIndex(max_names=3), set(), {}
    for what, number, more in life:
        if what == "change":
            clips.on_cache_change(bytes([number]), more)
            (cached.add if more else cached.discard)(number)
        elif more:
            known.pop(number, None)
            known[number] = more
            known = dict(list(known.items())[-3:])
            clips.register(str(number), [bytes([each]) for each in more], None)
        assert sorted(clips.names()) == sorted(
            str(n) for n, keys in known.items() if keys <= cached
        )


def test_the_least_recently_used_name_is_forgotten_with_its_keys():
    clips = ClipIndex(max_names=2)
    for number in (1, 2, 1, 3):
        clips.on_cache_change(bytes([number]), True)
        clips.register(str(number), [bytes([number])], None)
    assert clips.names() == ["1", "3"]
    assert set(clips._names_by_key) == {b"\1", b"\3"}
