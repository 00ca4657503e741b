"""Windows and audio tokens of a clip."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_common.audio import windows

WINDOW = windows.WINDOW_SAMPLES


@pytest.mark.parametrize(
    ("seconds", "tokens"),
    [(0.02, 0), (1, 25), (10, 250), (30, 750), (31, 775), (180, 4500), (600, 15000), (1200, 30000)],
)
def test_token_counts_are_those_of_transformers_processor(seconds, tokens):
    assert windows.num_tokens(round(seconds * windows.SAMPLE_RATE_HZ)) == tokens


@pytest.mark.parametrize("tail", [1, 160, 319, 320])
def test_a_tail_without_a_token_is_omitted(tail):
    assert windows.spans(WINDOW + tail) == [(0, WINDOW)]
    assert windows.num_tokens(WINDOW + tail) == 750


def test_the_shortest_tail_with_a_token_is_a_window():
    assert windows.spans(WINDOW + 321) == [(0, WINDOW), (WINDOW, WINDOW + 321)]
    assert windows.num_tokens(WINDOW + 321) == 751


@given(st.integers(1, 41 * WINDOW))
def test_spans_are_contiguous_and_their_tokens_add_up(num_samples):
    spans = windows.spans(num_samples)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
    counts = [windows.num_tokens_of_window(stop - start) for start, stop in spans]
    assert all(count > 0 for count in counts)
    assert sum(counts) == windows.num_tokens(num_samples)
