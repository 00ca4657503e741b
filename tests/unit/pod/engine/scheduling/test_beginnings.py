"""The longest common beginning, against a comparison with every sequence."""

from fakes.steps import num_steps
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.beginnings import Beginnings, encode, num_common

ids = st.lists(st.sampled_from([0, 1, 255, 256, 150_000]), max_size=8)


def compared(one, other):
    """Return the length of the longest common beginning, token by token."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)


def in_common(one, other):
    differs = compared(one, other)
    return min(len(one), len(other)) if differs is None else differs


@given(ids, ids)
def test_a_common_beginning_is_counted_in_tokens(one, other):
    assert num_common(encode(one), encode(other)) == in_common(one, other)


@given(st.lists(ids, max_size=20), st.sets(st.integers(0, 19)), ids)
def test_the_longest_is_the_one_that_a_search_of_all_finds(known, removed, wanted):
    beginnings = Beginnings()
    for owner, each in enumerate(known):
        beginnings.add(encode(each), owner)
    left = {owner: each for owner, each in enumerate(known) if owner not in removed}
    for owner in removed & set(range(len(known))):
        beginnings.remove(owner)
    assert list(beginnings) == list(left)
    num, owner = beginnings.longest_common(encode(wanted))
    assert num == max((in_common(each, wanted) for each in left.values()), default=0)
    assert owner is None if num == 0 else in_common(left[owner], wanted) == num


@given(st.lists(ids.filter(bool), max_size=20), ids.filter(bool))
def test_where_none_begins_with_another_a_beginning_and_an_extension_are_found(made, wanted):
    beginnings, known = Beginnings(), []
    for each in made:
        if all(in_common(each, other) < min(len(each), len(other)) for other in known):
            beginnings.add(encode(each), len(known))
            known.append(each)
    begins = [n for n, each in enumerate(known) if in_common(each, wanted) == len(each)]
    extends = [n for n, each in enumerate(known) if in_common(each, wanted) == len(wanted)]
    assert beginnings.beginning_of(encode(wanted)) == (begins[0] if begins else None)
    found = beginnings.extension_of(encode(wanted))
    assert found in extends if extends else found is None


def test_of_equal_sequences_the_one_added_last_is_found():
    beginnings = Beginnings()
    for owner in "abc":
        beginnings.add(encode([1, 2]), owner)
    assert [beginnings.longest_common(encode(ids))[1] for ids in ([1, 2], [1, 2, 3])] == ["c", "c"]
    beginnings.remove("c")
    assert beginnings.longest_common(encode([1, 2]))[1] == "b"


def test_a_search_does_not_take_longer_among_more():
    def search_steps(count):
        beginnings = Beginnings()
        for number in range(count):
            beginnings.add(encode([1, 2, number, number + 1]), number)
        wanted = encode([1, 2, count // 2, 7])
        return num_steps(lambda: beginnings.longest_common(wanted))

    assert search_steps(5000) == search_steps(50)
