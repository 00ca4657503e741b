import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence
from flamingo_pod.engine.scheduling.step_plan import Chunk, StepPlan, WindowJob
from flamingo_pod.engine.steps.shares import StepShare, split_step_time

SEQUENCES = [
    Sequence(number, range(10), SamplingParams(max_tokens=1), arrived_s=0.0) for number in range(4)
]
PREFIX = Prefix(b"", 0, 0, [])


def plan(windows, rows):
    return StepPlan(
        windows=[WindowJob(SEQUENCES[who], PREFIX, index) for index, who in enumerate(windows)],
        chunks=[Chunk(SEQUENCES[who], 0, num_rows) for who, num_rows in rows],
    )


@given(
    windows=st.lists(st.integers(0, 3), max_size=6),
    is_encoded=st.lists(st.booleans(), min_size=6, max_size=6),
    rows=st.dictionaries(st.integers(0, 3), st.integers(1, 600)),
    windows_s=st.floats(0, 5),
    rest_s=st.floats(0, 5),
)
def test_the_shares_of_a_step_add_up_to_its_time(windows, is_encoded, rows, windows_s, rest_s):
    step = plan(windows, rows.items())
    encoded = [job for job, yes in zip(step.windows, is_encoded, strict=False) if yes]
    parts = split_step_time(step, encoded, step_s=windows_s + rest_s, windows_s=windows_s)
    total_s = sum(part.total_s for part in parts.values())
    assert total_s == pytest.approx(windows_s + rest_s if windows or rows else 0.0)
    assert all(part.windows_s >= 0 and part.rows_s >= 0 for part in parts.values())


def test_encoding_is_charged_by_windows_and_the_rest_by_rows():
    step = plan([0, 0, 1, 2], [(0, 300), (3, 100)])
    parts = split_step_time(step, step.windows[:3], step_s=7.0, windows_s=3.0)
    assert parts == {
        SEQUENCES[0]: StepShare(2.0, 3.0),
        SEQUENCES[1]: StepShare(1.0),
        SEQUENCES[3]: StepShare(0.0, 1.0),
    }


def test_cache_lookups_are_charged_where_no_window_was_encoded():
    step = plan([0, 1], [])
    assert split_step_time(step, [], step_s=2.0, windows_s=1.0) == {
        SEQUENCES[0]: StepShare(1.0),
        SEQUENCES[1]: StepShare(1.0),
    }
