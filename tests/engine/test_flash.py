"""The plan and the merge of FlashAttention's calls, with a plain kernel in its place."""

import numpy as np
import pytest
import torch
from engine.test_attention import BATCHES, CPU, NUM_HEADS, NUM_KV, WIDTH, Config, random_pool

from flamingo_pod.engine.model_runner.attention import flash_check
from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.attention.flash import FlashAttention
from flamingo_pod.engine.model_runner.attention.varlen import plan_calls
from flamingo_pod.engine.model_runner.device_batch import to_device
from flamingo_pod.engine.model_runner.kv import KvPool


def plain_kernel(qkv, call, arrays, scale):
    """Compute what the kernel does, sequence by sequence, from its arguments alone."""
    queries, keys, values = qkv
    row_starts, slot_starts, num_slots = (array.tolist() for array in arrays)
    group = queries.shape[1] // keys.shape[1]
    out, lse = torch.empty_like(queries), torch.empty(queries.shape[1], len(queries))
    for number, used in enumerate(num_slots):
        rows = slice(row_starts[number], row_starts[number + 1])
        slots = slice(slot_starts[number], slot_starts[number] + used)
        assert rows.stop - rows.start <= call.max_rows
        assert used <= call.max_slots
        near, far = (each[slots].repeat_interleave(group, dim=1) for each in (keys, values))
        scores = torch.einsum("rhw,thw->hrt", queries[rows], near) * scale
        if call.is_causal:  # aligned at the end: the last row sees the last slot
            num_rows = scores.shape[1]
            is_visible = torch.ones(num_rows, used, dtype=torch.bool).tril(used - num_rows)
            scores = scores.masked_fill(~is_visible, -torch.inf)
        lse[:, rows] = scores.logsumexp(-1)
        out[rows] = torch.einsum("hrt,thw->rhw", scores.softmax(-1), far)
    return out, lse


@pytest.fixture
def pool():
    return random_pool()


@pytest.mark.parametrize("name", BATCHES)
def test_chunks_attend_as_by_the_reference(pool, name):
    batch = to_device(BATCHES[name], CPU)
    queries = torch.randn(batch.host.num_rows, NUM_HEADS, WIDTH)
    found, expected = FlashAttention(pool, plain_kernel), AttentionByRuns(pool, NUM_HEADS)
    found.plan(batch)
    expected.plan(batch)
    torch.testing.assert_close(found.attend(1, queries), expected.attend(1, queries))


def test_chunks_of_one_run_are_one_call():
    plan = plan_calls(BATCHES["a chunk behind others"])
    assert plan.full is None
    assert plan.causal.slot_starts[:-1].tolist() == [20]
    assert plan.causal.num_slots.tolist() == [30]


def test_only_the_rows_behind_a_shared_prefix_are_in_the_second_call():
    plan = plan_calls(BATCHES["many"])
    assert plan.full_rows.tolist() == [1, 2, 3, 4, 5, 6]
    assert plan.full.row_starts.tolist() == [0, 1, 6]
    assert plan.full.num_slots.tolist() == [40, 40]
    assert not plan.full.is_causal
    assert np.array_equal(plan.causal.row_starts, BATCHES["many"].row_starts)


@pytest.fixture
def empty_pool():
    return KvPool(Config, flash_check.NUM_SLOTS, torch.empty(0))


def test_a_kernel_that_agrees_is_used(empty_pool):
    assert flash_check.disagreement(empty_pool, NUM_HEADS, plain_kernel) is None


def not_causal(qkv, call, arrays, scale):
    object.__setattr__(call, "is_causal", False)
    return plain_kernel(qkv, call, arrays, scale)


def another_scale(qkv, call, arrays, scale):
    return plain_kernel(qkv, call, arrays, scale * 1.5)


def swapped(qkv, call, arrays, scale):
    """Return the log-sum-exps of sequences of one row in another order than that of the rows."""
    out, lse = plain_kernel(qkv, call, arrays, scale)
    return out, lse.flip(1) if call.max_rows == 1 else lse


def nothing(qkv, call, arrays, scale):
    return torch.full_like(qkv[0], torch.nan), torch.zeros(qkv[0].shape[1], len(qkv[0]))


@pytest.mark.parametrize("kernel", [not_causal, another_scale, swapped, nothing])
def test_a_kernel_that_disagrees_is_not_used(empty_pool, kernel):
    reason = flash_check.disagreement(empty_pool, NUM_HEADS, kernel)
    assert "FlashAttention differs from the reference by" in reason


def test_a_kernel_that_fails_is_not_used(empty_pool):
    # PyTorch has no such kernel for a CPU.
    reason = flash_check.disagreement(empty_pool, NUM_HEADS)
    assert reason.startswith("FlashAttention failed: ")


def test_a_pool_that_is_too_small_for_the_comparison_is_left_alone(pool):
    before = pool.keys[0].clone()
    assert "fewer than 2048 tokens" in flash_check.disagreement(pool, NUM_HEADS, plain_kernel)
    assert torch.equal(pool.keys[0], before)


def test_a_model_with_as_many_heads_as_kv_heads(empty_pool):
    assert flash_check.disagreement(empty_pool, NUM_KV, plain_kernel) is None
