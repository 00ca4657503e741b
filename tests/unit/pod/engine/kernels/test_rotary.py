import pytest
import torch

from flamingo_pod.engine.kernels import reference
from flamingo_pod.engine.kernels.rotary import rotate_and_write

HEADS = [(4, 2, 16), (4, 1, 128), (28, 4, 128), (3, 3, 32), (1, 1, 64)]
"""Query heads, KV heads, width: the built-in models', Music Flamingo's, and others."""
SLOTS = [5, 2, 0, 8, 3]
NUM_TOKENS = 9


class Step:
    """The inputs of one call."""

    def __init__(self, random, heads, *, has_bias=True):
        self.num_heads, self.num_kv, self.width = heads
        rows, packed = len(SLOTS), (self.num_heads + 2 * self.num_kv) * self.width
        angles = random.normal(rows, self.width).float() * 9
        self.qkv = random.strided(rows, packed)
        self.bias = random.normal(packed) if has_bias else None
        self.rotation = angles.cos().to(random.dtype), angles.sin().to(random.dtype)
        self.slots = random.integers(SLOTS)

    def run(self, function, keys, values):
        arguments = self.qkv, self.bias, self.rotation, self.slots
        return function(*arguments, (keys, values))


def compared(step, random):
    """Return queries and pool of the kernel, and those of the reference."""
    pools = [random.unwritten(2, NUM_TOKENS, step.num_kv, step.width) for _ in range(2)]
    functions = rotate_and_write, reference.rotate_and_write
    return [
        (step.run(function, *pool), pool) for function, pool in zip(functions, pools, strict=True)
    ]


@pytest.mark.parametrize("heads", HEADS, ids=str)
@pytest.mark.parametrize("has_bias", [True, False], ids=["bias", "no bias"])
def test_queries_and_pool_are_those_of_the_reference(random, check_rounding, heads, has_bias):
    (queries, pool), expected = compared(Step(random, heads, has_bias=has_bias), random)
    assert queries.shape == (len(SLOTS), heads[0], heads[2])
    check_rounding(queries, expected[0])
    check_rounding(pool, expected[1])  # what is in no slot of a row is NaN in both


def test_a_row_with_a_negative_slot_is_not_written(random, check_close):
    step = Step(random, (4, 2, 16))
    step.slots[1:3] = -1
    (queries, pool), expected = compared(step, random)
    check_close(queries, expected[0])
    check_close(pool, expected[1])
    assert pool[0, :, 0, 0].isfinite().nonzero().flatten().tolist() == [3, 5, 8]


def test_padded_rows_may_share_a_trash_slot(random, check_close):
    step = Step(random, (4, 2, 16))
    step.slots[2:] = NUM_TOKENS - 1
    (queries, pool), expected = compared(step, random)
    check_close(queries, expected[0])
    check_close(pool[:, :-1], expected[1][:, :-1])


def test_one_row_suffices(random, check_close):
    step = Step(random, (4, 1, 128))
    step.qkv, step.slots = step.qkv[:1], step.slots[:1]
    step.rotation = tuple(each[:1] for each in step.rotation)
    (queries, pool), expected = compared(step, random)
    check_close(queries, expected[0])
    check_close(pool, expected[1])


def test_the_pool_may_have_any_strides(random, check_close):
    step = Step(random, (4, 2, 16))
    # One layer of several; and heads before tokens, with columns that are not adjacent.
    layers = random.unwritten(3, NUM_TOKENS, step.num_kv, step.width)
    by_head = random.unwritten(step.num_kv, step.width, NUM_TOKENS)
    queries = step.run(rotate_and_write, layers[1], by_head.permute(2, 0, 1))
    ((_, expected),) = compared(step, random)[1:]
    assert queries.isfinite().all()
    check_close(layers[1], expected[0])
    check_close(by_head.permute(2, 0, 1), expected[1])
    assert layers[[0, 2]].isnan().all()


def test_the_product_stays_as_it_is(random):
    step = Step(random, (4, 2, 16))
    before = step.qkv.clone()
    compared(step, random)
    assert torch.equal(step.qkv, before)


@pytest.mark.parametrize("dtype", [torch.float16])
def test_offsets_may_exceed_32_bits(random):
    step = Step(random, (4, 2, 16))
    (_, (near, _)), _ = compared(step, random)
    far = 2**31 // (2 * 16)
    # 4 GiB that take no memory, since nothing else is written.
    keys = torch.empty(far + NUM_TOKENS, 2, 16, dtype=random.dtype, device=near.device)
    step.slots += far
    step.run(rotate_and_write, keys, near[:1].clone().expand_as(keys))
    assert torch.equal(keys[far:][SLOTS], near[SLOTS])
