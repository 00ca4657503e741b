import random

import pytest

from flamingo_pod.engine.costs.step_costs import LearnedCosts


def costs_of(*, step_s, row_s, rows, num_steps=200):
    source, costs = random.Random(1), LearnedCosts()
    for _ in range(num_steps):
        num_rows = source.choice(rows)
        took_s = (step_s + row_s * num_rows) * source.uniform(0.95, 1.05)
        costs.observe_rows(took_s, num_decoding=num_rows, num_tokens=0)
    return costs


def test_nothing_costs_anything_before_it_was_measured():
    costs = LearnedCosts()
    assert (costs.row_s, costs.token_s, costs.window_s, costs.decode_s(9)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("step_s", "row_s"), [(0.01, 0.0), (0.01, 0.0001), (0.001, 0.01)], ids=["flat", "GPU", "CPU"]
)
def test_the_cost_of_a_row_and_of_a_step_is_learned(step_s, row_s):
    costs = costs_of(step_s=step_s, row_s=row_s, rows=range(1, 60))
    assert costs.row_s == pytest.approx(row_s, abs=0.00005 + 0.05 * row_s)
    assert costs.decode_s(30) == pytest.approx(step_s + 30 * row_s, rel=0.05)


def test_while_all_steps_are_alike_a_row_costs_its_part_of_one():
    costs = costs_of(step_s=0.01, row_s=0.0, rows=[10])
    assert costs.row_s == pytest.approx(0.001, rel=0.05)
    assert costs.decode_s(10) == pytest.approx(0.01, rel=0.05)


def test_prompt_tokens_cost_what_a_step_takes_longer_with_them():
    costs = costs_of(step_s=0.01, row_s=0.0, rows=[1, 2])
    for _ in range(300):
        costs.observe_rows(0.06, num_decoding=2, num_tokens=500)
        costs.observe_windows(0.03, 2)
    assert costs.token_s == pytest.approx(0.0001, rel=0.02)
    assert costs.window_s == pytest.approx(0.015, rel=0.02)


def test_a_few_steps_that_last_ten_times_as_long_do_not_hide_the_cost_of_a_row():
    source, costs = random.Random(1), LearnedCosts()
    for number in range(400):
        num_rows = source.randint(1, 20)
        took_s = 0.001 + 0.001 * num_rows
        # The short steps are those that were interrupted: without a limit the slope is negative.
        is_interrupted = number > 50 and num_rows < 4 and source.random() < 0.3
        costs.observe_rows(
            took_s * (20 if is_interrupted else 1), num_decoding=num_rows, num_tokens=0
        )
    assert 0.0007 < costs.row_s < 0.0013


def test_steps_that_have_become_slower_are_learned():
    costs = costs_of(step_s=0.01, row_s=0.0, rows=[1, 2, 3])
    for number in range(600):
        costs.observe_rows(0.1, num_decoding=1 + number % 3, num_tokens=0)
    assert costs.decode_s(2) == pytest.approx(0.1, rel=0.1)
