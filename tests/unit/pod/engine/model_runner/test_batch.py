"""The arrays of a step against a plain statement of which slot each token has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.model_runner import batch
from flamingo_pod.engine.scheduling.extents import Extent
from flamingo_pod.engine.scheduling.sequence import Prefix, SamplingParams, Sequence
from flamingo_pod.engine.scheduling.step_plan import Chunk

MAX_TOKENS = 8


def sequence_at(start, *, num_prefix, num_tail, gap):
    """Return a sequence whose KV lies from `start` on, with a gap behind its prefix."""
    prefix = None
    if num_prefix:
        prefix = Prefix(b"", num_prefix, audio_start=1, window_tokens=[num_prefix - 1])
        prefix.extent = Extent(start, start + num_prefix)
    tail_start = start + num_prefix + gap
    made = Sequence(
        number=0,
        prompt_ids=np.arange(1000, 1000 + num_prefix + num_tail, dtype=np.int32),
        params=SamplingParams(max_tokens=MAX_TOKENS),
        arrived_s=0.0,
        own_prefix=prefix,
    )
    made.prefix, made.tail = prefix, Extent(tail_start, tail_start + num_tail + MAX_TOKENS)
    return made


def slot_of(sequence, position):
    if position < sequence.num_prefix:
        return sequence.prefix.extent.start + position
    return sequence.tail.start + position - sequence.num_prefix


@st.composite
def chunks(draw, start):
    num_prefix = draw(st.sampled_from([0, 2, 5, 9]))
    num_tail = draw(st.integers(1, 12))
    gap = draw(st.sampled_from([0, 0, 3]))
    made = sequence_at(start, num_prefix=num_prefix, num_tail=num_tail, gap=gap)
    made.output_ids = [7] * draw(st.integers(0, MAX_TOKENS - 1))
    in_prefix = num_prefix and draw(st.booleans())
    first, last = (0, num_prefix) if in_prefix else (num_prefix, made.num_tokens)
    begin = draw(st.integers(first, last - 1))
    stop = draw(st.integers(begin + 1, last))
    if num_prefix:
        made.prefix.num_computed = begin if in_prefix else num_prefix
    made.num_tail_computed = 0 if in_prefix else begin - num_prefix
    return Chunk(made, begin, stop)


@st.composite
def plans(draw):
    return [draw(chunks(start=number * 100)) for number in range(draw(st.integers(1, 5)))]


def slots_of_runs(runs):
    first, num_first, second, num_second = runs
    return [*range(first, first + num_first), *range(second, second + num_second)]


@given(plans())
def test_rows_are_the_chunks_tokens_with_their_positions_and_slots(plan):
    built = batch.build(plan)
    rows = [(chunk.sequence, at) for chunk in plan for at in range(chunk.start, chunk.stop)]
    assert built.num_rows == len(rows)
    assert built.positions.tolist() == [at for _, at in rows]
    assert built.slots.tolist() == [slot_of(sequence, at) for sequence, at in rows]
    assert built.token_ids.tolist() == [sequence.ids(at, at + 1)[0] for sequence, at in rows]


@given(plans())
def test_each_row_attends_to_all_tokens_up_to_its_own(plan):
    built = batch.build(plan)
    for chunk, start, stop, runs in zip(
        plan, built.row_starts, built.row_starts[1:], built.runs, strict=False
    ):
        attended = slots_of_runs(runs)
        num_rows = stop - start
        for row in range(num_rows):
            visible = attended[: len(attended) - (num_rows - 1 - row)]
            before = range(chunk.start + row + 1)
            assert visible == [slot_of(chunk.sequence, at) for at in before]


@given(plans())
def test_runs_that_touch_are_one(plan):
    for first, num_first, second, num_second in batch.build(plan).runs:
        assert num_first > 0
        assert num_second == 0 or second != first + num_first


@given(plans())
def test_the_last_rows_of_complete_prompts_and_outputs_are_sampled(plan):
    built = batch.build(plan)
    last = [stop - 1 for stop in built.row_starts[1:]]
    assert built.sampled_rows.tolist() == [
        row for row, chunk in zip(last, plan, strict=True) if chunk.is_sampled
    ]


@given(plans())
def test_what_decodes_is_at_the_beginning_and_the_chunks_behind_are_a_batch(plan):
    plan.sort(key=lambda chunk: chunk.num_tokens > 1)
    built = batch.build(plan)
    assert built.num_single == sum(chunk.num_tokens == 1 for chunk in plan)
    rest = batch.chunks_from(built, built.num_single)
    if rest.num_rows:
        expected = batch.build(plan[built.num_single :])
        for name in ("token_ids", "positions", "slots", "row_starts", "runs"):
            assert getattr(rest, name).tolist() == getattr(expected, name).tolist()


@given(plans())
def test_a_row_behind_a_chunk_is_not_one_of_the_first(plan):
    built = batch.build(plan)
    assert all(chunk.num_tokens == 1 for chunk in plan[: built.num_single])
    assert all(chunk.num_tokens > 1 for chunk in plan[built.num_single :][:1])


@pytest.mark.parametrize(
    ("start", "stop", "expected"),
    [
        (0, 9, batch.AudioRows(row=21, first=0, num=8)),
        (0, 1, None),
        (0, 2, batch.AudioRows(row=21, first=0, num=1)),
        (4, 6, batch.AudioRows(row=20, first=3, num=2)),
    ],
)
def test_audio_rows_are_those_behind_the_text_of_a_prefix(start, stop, expected):
    made = sequence_at(0, num_prefix=9, num_tail=3, gap=0)
    assert batch.audio_rows(Chunk(made, start, stop), row=20) == expected


def test_a_prefix_that_is_computed_needs_no_audio():
    made = sequence_at(0, num_prefix=9, num_tail=3, gap=0)
    made.prefix.num_computed = 9
    assert batch.audio_rows(Chunk(made, 9, 12), row=0) is None


def test_text_has_no_audio():
    made = sequence_at(0, num_prefix=0, num_tail=3, gap=0)
    assert batch.audio_rows(Chunk(made, 0, 3), row=0) is None
