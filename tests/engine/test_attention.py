"""Attention over runs of the pool, against a softmax over a mask."""

import numpy as np
import pytest
import torch

from flamingo_pod.engine.model_runner.attention.by_runs import AttentionByRuns
from flamingo_pod.engine.model_runner.batch import Batch
from flamingo_pod.engine.model_runner.device_batch import to_device
from flamingo_pod.engine.model_runner.kv import KvPool
from flamingo_pod.engine.scheduling.memory import KvCopy

NUM_SLOTS, NUM_HEADS, NUM_KV, WIDTH = 200, 6, 2, 16
CPU = torch.device("cpu")


class Config:
    num_hidden_layers = 2
    num_key_value_heads = NUM_KV
    num_attention_heads = NUM_HEADS
    head_dim = WIDTH


def batch_of(*chunks):
    """Return a batch of `(rows, runs)`."""
    num_rows = [rows for rows, _ in chunks]
    runs = np.array([runs for _, runs in chunks], dtype=np.int32)
    starts = np.cumsum([0, *num_rows], dtype=np.int32)
    stops = [b + nb if nb else a + na for a, na, b, nb in runs.tolist()]
    slots = np.concatenate(
        [
            np.arange(stop - rows, stop, dtype=np.int32)
            for stop, rows in zip(stops, num_rows, strict=True)
        ]
    )
    zeros = np.zeros(starts[-1], dtype=np.int32)
    return Batch(zeros, zeros, slots, starts, runs, starts[1:] - 1)


BATCHES = {
    "one row": batch_of((1, (10, 5, 0, 0))),
    "a first token": batch_of((1, (10, 1, 0, 0))),
    "two runs": batch_of((1, (50, 40, 10, 7))),
    "a whole prompt": batch_of((9, (20, 9, 0, 0))),
    "a chunk behind others": batch_of((9, (20, 30, 0, 0))),
    "a chunk behind a shared prefix": batch_of((4, (50, 40, 10, 4))),
    "a later chunk behind a shared prefix": batch_of((4, (50, 40, 10, 11))),
    "many": batch_of(
        (1, (0, 10, 0, 0)), (1, (50, 40, 10, 7)), (5, (50, 40, 100, 9)), (8, (120, 8, 0, 0))
    ),
}


def by_mask(pool, layer, queries, batch):
    """Return attention from a softmax over all slots, of which each row sees some."""
    keys, values = pool.keys[layer].double(), pool.values[layer].double()
    group = NUM_HEADS // NUM_KV
    keys, values = (each.repeat_interleave(group, dim=1) for each in (keys, values))
    scores = torch.einsum("rhw,thw->rht", queries.double(), keys) * pool.scale
    is_visible = torch.zeros(len(queries), len(keys), dtype=torch.bool)
    bounds = zip(batch.row_starts, batch.row_starts[1:], batch.runs, strict=False)
    for start, stop, (a, na, b, nb) in bounds:
        attended = [*range(a, a + na), *range(b, b + nb)]
        for row in range(start, stop):
            is_visible[row, attended[: len(attended) - (stop - 1 - row)]] = True
    weights = scores.masked_fill(~is_visible[:, None], -torch.inf).softmax(-1)
    return torch.einsum("rht,thw->rhw", weights, values.nan_to_num())


@pytest.fixture
def pool():
    return random_pool()


def random_pool():
    torch.manual_seed(0)
    made = KvPool(Config, NUM_SLOTS, torch.empty(0))
    for each in (*made.keys, *made.values):
        each.normal_()
    return made


@pytest.mark.parametrize("name", BATCHES)
def test_attention_equals_a_softmax_over_a_mask(pool, name):
    batch = BATCHES[name]
    attention = AttentionByRuns(pool, NUM_HEADS)
    attention.plan(to_device(batch, CPU))
    keys, values = torch.randn(2, batch.num_rows, NUM_KV, WIDTH).unbind()
    queries = torch.randn(batch.num_rows, NUM_HEADS, WIDTH)
    attention.write(1, keys, values)
    torch.testing.assert_close(
        attention.attend(1, queries), by_mask(pool, 1, queries, batch).float()
    )
    assert torch.equal(pool.keys[1][batch.slots], keys)
    assert torch.equal(pool.values[1][batch.slots], values)


@pytest.mark.parametrize("name", BATCHES)
def test_slots_that_no_row_attends_to_change_nothing(pool, name):
    batch = BATCHES[name]
    attention = AttentionByRuns(pool, NUM_HEADS)
    attention.plan(to_device(batch, CPU))
    queries = torch.randn(batch.num_rows, NUM_HEADS, WIDTH)
    before = attention.attend(0, queries)
    attended = {
        slot for a, na, b, nb in batch.runs for slot in (*range(a, a + na), *range(b, b + nb))
    }
    others = [slot for slot in range(NUM_SLOTS) if slot not in attended]
    pool.keys[0][others] = pool.values[0][others] = torch.nan
    assert torch.equal(attention.attend(0, queries), before)


def test_packed_rows_are_rotated_before_they_are_written(pool):
    batch = BATCHES["many"]
    attention = AttentionByRuns(pool, NUM_HEADS)
    attention.plan(to_device(batch, CPU))
    packed = torch.randn(batch.num_rows, (NUM_HEADS + 2 * NUM_KV) * WIDTH)
    quarter_turn = torch.zeros(batch.num_rows, WIDTH), torch.ones(batch.num_rows, WIDTH)
    out = attention.write_and_attend(0, packed, quarter_turn)
    heads = packed.view(batch.num_rows, -1, WIDTH)
    turned = torch.cat((-heads[..., WIDTH // 2 :], heads[..., : WIDTH // 2]), dim=-1)
    assert torch.equal(pool.keys[0][batch.slots], turned[:, NUM_HEADS:-NUM_KV])
    assert torch.equal(pool.values[0][batch.slots], heads[:, -NUM_KV:])
    assert torch.equal(out, attention.attend(0, turned[:, :NUM_HEADS]).flatten(1))


def test_copies_are_made_in_all_layers_and_in_order(pool):
    keys, values = pool.keys[1].clone(), pool.values[0].clone()
    pool.copy([KvCopy(source=0, target=100, num_tokens=5), KvCopy(102, 150, 2)])
    assert torch.equal(pool.keys[1][100:105], keys[:5])
    assert torch.equal(pool.values[0][150:152], values[2:4])


def test_a_copy_may_overlap_itself(pool):
    keys = pool.keys[0].clone()
    pool.copy([KvCopy(source=10, target=12, num_tokens=20)])
    assert torch.equal(pool.keys[0][12:32], keys[10:30])
