"""How a device's memory is divided."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flamingo_pod.engine.startup import sizing
from flamingo_pod.engine.startup.sizing import MemoryNeeds, StepSizes
from flamingo_pod.model.dimensions import PUBLISHED

GIB = 2**30
STEP = StepSizes(prefill_tokens=2048, num_rows=64, num_windows=8)
NEEDS = sizing.estimate_needs(PUBLISHED, 2, STEP, encoder_cache_bytes=GIB)
SIZES = st.integers(0, 40 * GIB)
ANY_NEEDS = st.builds(
    MemoryNeeds,
    weight_bytes=SIZES,
    peak_bytes=SIZES,
    in_flight_bytes=SIZES,
    encoder_cache_bytes=SIZES,
    kv_token_bytes=st.integers(1, 2**20),
    context_tokens=st.integers(1, 2**17),
)


def card(gigabytes):
    return gigabytes * 10**9 - sizing.GPU_CONTEXT_BYTES


@given(st.integers(0, 150 * GIB), ANY_NEEDS)
def test_what_is_planned_never_exceeds_the_memory(usable_bytes, needs):
    plan = sizing.plan_memory(usable_bytes, needs)
    if plan.kv_cache_tokens == 0:
        return
    caches = 0 if plan.are_caches_on_host else needs.encoder_cache_bytes
    pool = plan.kv_cache_tokens * needs.kv_token_bytes
    fixed = needs.weight_bytes + needs.peak_bytes + needs.in_flight_bytes
    assert fixed + caches + pool + plan.reserve_bytes <= usable_bytes


@given(st.integers(0, 150 * GIB), ANY_NEEDS)
def test_all_that_is_left_is_the_pool(usable_bytes, needs):
    plan = sizing.plan_memory(usable_bytes, needs)
    caches = 0 if plan.are_caches_on_host else needs.encoder_cache_bytes
    pool = (plan.kv_cache_tokens + 1) * needs.kv_token_bytes
    fixed = needs.weight_bytes + needs.peak_bytes + needs.in_flight_bytes
    assert fixed + caches + pool + plan.reserve_bytes > usable_bytes


def test_the_encoder_caches_leave_a_small_card():
    assert sizing.plan_memory(card(24), NEEDS).are_caches_on_host
    assert not sizing.plan_memory(card(40), NEEDS).are_caches_on_host


def test_a_larger_peak_makes_the_pool_smaller_by_as_much():
    usable_bytes = card(80)
    larger = dataclasses.replace(NEEDS, peak_bytes=NEEDS.peak_bytes + 100 * NEEDS.kv_token_bytes)
    before, after = (sizing.plan_memory(usable_bytes, needs) for needs in (NEEDS, larger))
    assert before.kv_cache_tokens - after.kv_cache_tokens == 100


def test_a_card_of_16_gb_is_too_small_for_the_weights():
    assert sizing.plan_memory(card(16), NEEDS).kv_cache_tokens == 0


@pytest.mark.parametrize(
    ("seconds", "tokens"), [(10, 250 + 360), (30, 750 + 360), (1200, 30_000 + 360)]
)
def test_a_clip_takes_25_tokens_a_second_and_its_question_and_answer(seconds, tokens):
    assert sizing.clip_tokens(seconds) == tokens


def test_more_clips_fit_the_shorter_they_are():
    plan = sizing.plan_memory(card(24), NEEDS)
    counts = [plan.num_clips(seconds) for seconds in (10, 30, 180, 600, 1200)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] >= 2


@pytest.mark.parametrize(
    "larger",
    [
        StepSizes(prefill_tokens=8192, num_rows=64, num_windows=8),
        StepSizes(prefill_tokens=2048, num_rows=1024, num_windows=8),
        StepSizes(prefill_tokens=2048, num_rows=64, num_windows=64),
    ],
)
def test_each_part_of_a_step_may_be_the_largest(larger):
    usual, most = (sizing.estimate_peak_bytes(PUBLISHED, 2, step) for step in (STEP, larger))
    assert most > usual
