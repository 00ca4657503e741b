"""The predicted seconds of work in the engine."""

import pytest
from fakes.engine_costs import learned

from flamingo_common.wire.priority import Priority
from flamingo_pod.engine.costs.load import EngineLoad
from flamingo_pod.engine.costs.request_stats import RequestStats


def test_the_backlog_is_the_remaining_work_of_the_requests_in_flight():
    load = EngineLoad(recent=learned(1.0, 1.0, 0.1))
    first = RequestStats(num_windows_left=2, num_prompt_tokens_left=1500, num_output_tokens_left=10)
    with load.in_flight(first):
        assert load.backlog_s == pytest.approx(2 * 2.0 + 10 * 0.5 * 0.1)
        assert load.queued_s == pytest.approx(2 * 2.0)
        with load.in_flight(RequestStats(num_windows_left=1, num_prompt_tokens_left=750)):
            assert load.backlog_s == pytest.approx(4.5 + 2.0)
        first.record_encoded_windows(1)
        first.record_token(1.0, is_text=True)
        assert load.backlog_s == pytest.approx(1.0 + 2.0 + 9 * 0.5 * 0.1)
    assert load.backlog_s == 0


def test_prompts_that_follow_a_first_one_count_too():
    load = EngineLoad(recent=learned(None, 1.0))
    stats = RequestStats(num_prompt_tokens_left=750, num_later_prompt_tokens_left=1500)
    with load.in_flight(stats):
        assert load.queued_s == pytest.approx(3.0)


def test_choices_beyond_one_per_request_are_counted():
    load = EngineLoad()
    with load.in_flight(RequestStats(num_choices=3)), load.in_flight(RequestStats()):
        assert load.num_extra_choices == 2


def test_the_part_of_low_priority_is_counted_by_itself():
    load = EngineLoad(recent=learned(1.0, None, 0.1))
    low = RequestStats(
        num_windows_left=2, num_output_tokens_left=10, num_choices=3, priority=Priority.LOW
    )
    with load.in_flight(low), load.in_flight(RequestStats(num_windows_left=4)):
        assert (load.low_queued_s, load.queued_s) == (2.0, 6.0)
        assert load.low_backlog_s == 2.5
        assert load.num_extra_low_choices == 2
