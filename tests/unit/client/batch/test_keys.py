from fakes.effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from flamingo.batch.keys import FINISHED, SEEN, KeyTable


def test_a_new_key_has_no_flags():
    keys = KeyTable()

    assert keys.add("a.flac", SEEN) == 0
    assert keys.add("a.flac", FINISHED) == SEEN
    assert keys.add("a.flac", SEEN) == SEEN | FINISHED
    assert len(keys) == 1


def test_a_name_that_is_not_utf_8_is_a_key():
    assert KeyTable().add("caf\udce9.flac", SEEN) == 0


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from([SEEN, FINISHED]))))
def test_it_is_a_dictionary_of_flags(steps):
    keys, model = KeyTable(), {}
    for key, flag in steps:
        assert keys.add(key, flag) == model.get(key, 0)
        model[key] = model.get(key, 0) | flag
    assert len(keys) == len(model)


def test_it_grows_and_keeps_all_keys_and_flags():
    keys = KeyTable()
    for number in range(5000):
        keys.add(f"song-{number}", SEEN if number % 2 else FINISHED)

    assert len(keys) == 5000
    assert all(keys.add(f"song-{number}", SEEN) & SEEN == number % 2 for number in range(5000))
