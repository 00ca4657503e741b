"""A step divided into halves computes the same rows and windows, in the same order."""

from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.budget import TokenBudget
from flamingo_pod.engine.scheduling.scheduler import SchedulerLimits
from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence
from flamingo_pod.engine.scheduling.smaller_steps import MIN_ROWS, halves, limits_below
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan, WindowJob


def sequence(number, num_tokens):
    return Sequence(number, range(num_tokens), SamplingParams(1), arrived_s=0.0)


@st.composite
def plans(draw):
    num_decoding = draw(st.integers(0, 20))
    lengths = draw(st.lists(st.integers(1, 300), max_size=6))
    chunks = []
    for number, length in enumerate([1] * num_decoding + lengths):
        start = draw(st.integers(0, 100))
        chunks.append(Chunk(sequence(number, start + length), start, start + length))
    prefix = Prefix(b"", 0, 0, ())
    jobs = [WindowJob(sequence(0, 9), prefix, k) for k in range(draw(st.integers(0, 9)))]
    return StepPlan((), jobs, chunks, num_decoding)


def rows(plan):
    return [(c.sequence.number, at) for c in plan.chunks for at in range(c.start, c.stop)]


def smallest(plan):
    """Return the steps that cannot be divided."""
    parts = halves(plan)
    return [each for part in parts for each in smallest(part)] if parts else [plan]


@given(plans())
def test_the_smallest_steps_compute_all_rows_and_windows_in_order(plan):
    steps = smallest(plan)
    assert [row for step in steps for row in rows(step)] == rows(plan)
    assert [job for step in steps for job in step.windows] == list(plan.windows)
    assert sum(step.num_decoding for step in steps) == plan.num_decoding
    for step in steps:
        assert len(step.windows) + len(rows(step)) == 0 or step.num_prefilled >= 0
        assert len(step.windows) <= 1
        assert len(rows(step)) <= MIN_ROWS
        assert not (step.windows and step.chunks)


@given(plans())
def test_each_sampled_chunk_is_sampled_once(plan):
    sampled = [c.sequence for step in smallest(plan) for c in step.chunks if c.is_sampled]
    assert sampled == [chunk.sequence for chunk in plan.chunks if chunk.is_sampled]


@given(plans())
def test_half_the_rows_are_in_each_step(plan):
    for step in halves(StepPlan(chunks=plan.chunks, num_decoding=plan.num_decoding)):
        assert 2 * len(rows(step)) in {len(rows(plan)) + delta for delta in (-1, 0, 1)}


@given(plans(), st.integers(1, 8), st.integers(1, 300), st.integers(1, 4000))
def test_limits_are_lowered_to_half_of_the_step_and_never_raised(
    plan, max_windows, max_num_seqs, max_tokens
):
    before = SchedulerLimits(600, max_num_seqs, max_windows_per_step=max_windows)
    budget = TokenBudget(max_tokens=max_tokens)
    limits, num_tokens = limits_below(plan, before, budget)
    assert 1 <= limits.max_windows_per_step <= max_windows
    assert 1 <= limits.max_num_seqs <= max_num_seqs
    assert 1 <= num_tokens <= max_tokens
    if plan.windows:
        assert limits.max_windows_per_step <= max(len(plan.windows) // 2, 1)
    elif plan.num_prefilled >= plan.num_decoding:
        assert num_tokens <= max(plan.num_prefilled // 2, budget.min_tokens)
    else:
        assert limits.max_num_seqs <= max(plan.num_decoding // 2, MIN_ROWS)
