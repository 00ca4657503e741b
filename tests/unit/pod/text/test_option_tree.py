"""The probability of an answer that can only be one of some options."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.text import option_tree
from flamingo_pod.text.option_tree import Branch, OptionTree

END = 99
options = st.lists(
    st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple),
    min_size=2,
    max_size=12,
    unique=True,
)


def uniform(tree):
    return [[math.log(1 / 7)] * len(branch.token_ids) for branch in tree.branches]


def test_options_with_different_beginnings_need_the_root_alone():
    tree = OptionTree.of([(1, 5, 6), (2,), (3, 5)], END)
    assert tree.branches == [Branch((), (1, 2, 3))]
    found = tree.probabilities([[math.log(each) for each in (0.1, 0.3, 0.1)]])
    assert found == pytest.approx([0.2, 0.6, 0.2])


def test_an_option_that_begins_another_ends_where_the_other_continues():
    tree = OptionTree.of([(1,), (1, 2), (3,)], END)
    assert tree.branches == [Branch((), (1, 3)), Branch((1,), (END, 2))]
    assert tree.probabilities([[math.log(0.5)] * 2, [math.log(0.3), math.log(0.1)]]) == (
        pytest.approx([0.375, 0.125, 0.5])
    )


def test_a_beginning_that_all_have_decides_nothing():
    tree = OptionTree.of([(1, 2, 3), (1, 2, 4)], END)
    assert tree.branches == [Branch((), (1,)), Branch((1, 2), (3, 4))]
    assert tree.probabilities([[-9.0], [-1.0, -1.0]]) == pytest.approx([0.5, 0.5])
    assert tree.depth == 2


@given(options)
def test_probabilities_add_up_to_one(paths):
    tree = OptionTree.of(paths, END)
    assert sum(tree.probabilities(uniform(tree))) == pytest.approx(1)


@given(options)
def test_every_branch_decides_and_no_path_is_missing(paths):
    tree = OptionTree.of(paths, END)
    for branch in tree.branches[1:]:
        assert len(branch.token_ids) > 1
    ended = [(*path, END) for path in paths]
    for one, other in itertools.combinations(ended, 2):
        common = next(at for at in range(len(one)) if one[at] != other[at])
        branch = next(each for each in tree.branches if each.path == one[:common])
        assert {one[common], other[common]} <= set(branch.token_ids)


def test_impossible_tokens_have_no_probability_and_only_impossible_ones_equal_ones():
    tree = OptionTree.of([(1,), (2,)], END)
    assert tree.probabilities([[-math.inf, -2.0]]) == [0.0, 1.0]
    assert tree.probabilities([[-math.inf, -math.inf]]) == pytest.approx([0.5, 0.5])


def test_the_mass_of_a_branch_is_that_of_its_tokens_together():
    assert option_tree.mass([math.log(0.25), math.log(0.5)]) == pytest.approx(0.75)
    assert option_tree.mass([0.0, -20.0]) == 1.0
