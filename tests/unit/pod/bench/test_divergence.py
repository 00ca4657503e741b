"""How far the answers of a quantized model are from those of a reference."""

import pytest

from flamingo_pod.bench import divergence
from flamingo_pod.bench.divergence import AnswerDivergence


def answer(reference, ids, kl=None, same=None):
    num_tokens = len(reference)
    return AnswerDivergence(
        tuple(kl or [0.0] * num_tokens), tuple(same or [True] * num_tokens), reference, ids
    )


@pytest.mark.parametrize(
    ("ids", "first", "num_equal"),
    [
        ((1, 2, 3), None, 3),
        ((1, 9, 3), 1, 2),
        ((9, 9, 9), 0, 0),
        ((1, 2), 2, 2),
        ((1, 2, 3, 4), 3, 3),
        ((), 0, 0),
    ],
)
def test_the_first_difference_is_the_end_of_the_common_beginning(ids, first, num_equal):
    found = answer((1, 2, 3), ids)
    assert found.first_difference == first
    assert found.num_equal == num_equal


def test_a_summary_is_over_the_tokens_of_all_answers():
    found = divergence.summary(
        [
            answer((1, 2), (1, 2), kl=[0.0, 0.2], same=[True, True]),
            answer((1, 2, 3, 4), (1, 2, 9, 4), kl=[0.1, 0.3, 4.0, 0.2], same=[True] * 3 + [False]),
            answer((5, 6), (7, 8), kl=[0.0, 0.0]),
        ]
    )
    assert (found.num_answers, found.num_tokens) == (3, 8)
    assert found.kl_mean == pytest.approx(0.6)
    assert (found.kl_p99, found.kl_max) == (4.0, 4.0)
    assert found.same_top_share == 7 / 8
    assert found.num_identical == 1
    assert found.first_difference_median == 1.0, "of 2 and 0"
    assert found.equal_share == 5 / 8


def test_without_a_difference_there_is_no_first_one():
    assert divergence.summary([answer((1,), (1,))]).first_difference_median is None


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_one_of_the_values(share, value):
    assert divergence.percentile(range(100, 0, -1), share) == value
