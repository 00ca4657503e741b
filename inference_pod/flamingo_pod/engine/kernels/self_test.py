"""Compares each kernel with its reference on a device: a kernel that disagrees must not be used.

The pod runs it when it starts on a GPU. Inputs are random, with the dimensions of the model, one
row and several, in a pool that is NaN wherever nothing may be read. Afterwards all variants of the
kernels are compiled: a step with another number of rows does not wait for the compiler.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from flamingo_pod.engine.kernels import reference
from flamingo_pod.engine.kernels.activation import silu_mul, silu_mul_fp8
from flamingo_pod.engine.kernels.decode_attention import decode_attention, decode_attention_fp8
from flamingo_pod.engine.kernels.norm import add_rms_norm, add_rms_norm_fp8
from flamingo_pod.engine.kernels.picked_tokens import picked_tokens
from flamingo_pod.engine.kernels.plain_tokens import plain_tokens
from flamingo_pod.engine.kernels.rotary import rotate_and_write
from flamingo_pod.engine.kernels.split_sizes import SPLIT_COUNTS, processors_of_splits
from flamingo_pod.engine.sampling.batch import PlainRows
from flamingo_pod.engine.sampling.filters import RankedRows
from flamingo_pod.engine.sampling.filters import picked as reference_picked
from flamingo_pod.engine.sampling.plain import plain_tokens as reference_tokens
from flamingo_pod.engine.sampling.state import MAX_CANDIDATES
from flamingo_pod.model import fp8
from flamingo_pod.model.dimensions import ModelDimensions

LIMITS = {torch.float32: 1e-5, torch.float16: 2.0**-9, torch.bfloat16: 2.0**-6}
"""Of the largest error, relative to the largest value: in the last two, twice the unit roundoff."""
FP8_LIMIT = 0.08
"""The same: twice half the distance of the largest two values, 416 and 448, and of bfloat16."""
NUM_ROWS = (1, 5)
RUN_LENGTHS = ((0, 0), (1, 0), (0, 7), (300, 45), (4097, 130))
"""The lengths of prefix and tail of each row: no token, one, and several splits."""
POOL_TOKENS = 4608
TEMPERATURES = (1.0, 0.0, 0.7, 2.0, 1.0)
FLOORS = (-math.inf, -math.inf, -math.inf, -1.0, -math.inf)
TOP_K = (0, 50, 7, 0, 1023)
TOP_P = (0.9, 2.0, 0.5, 0.99, 0.1)
"""Of the rows of which tokens are sampled."""
SEED = 16
EPS = 1e-6
"""Of Qwen2's norms; the kernels take any."""


@dataclass(frozen=True, slots=True)
class KernelCheck:
    """How far a kernel is from its reference."""

    kernel: str
    largest_error: float
    """Relative to the largest value of the reference; infinite where the kernel failed."""
    limit: float
    failure: str | None = None
    """The error that the kernel raised, if it did."""

    @property
    def is_ok(self) -> bool:
        """Whether the kernel may be used."""
        return self.largest_error <= self.limit


@dataclass(frozen=True, slots=True)
class KernelDimensions:
    """What the kernels need to know of a language model."""

    hidden: int
    intermediate: int
    num_heads: int
    num_kv_heads: int
    head_width: int
    eps: float
    vocabulary: int


def kernel_dimensions(of: ModelDimensions) -> KernelDimensions:
    """Return what the kernels need of a model's dimensions."""
    return KernelDimensions(
        hidden=of.hidden,
        intermediate=of.intermediate,
        num_heads=of.num_heads,
        num_kv_heads=of.num_kv_heads,
        head_width=of.head_width,
        eps=EPS,
        vocabulary=of.vocabulary,
    )


class _RandomTensors:
    """Random tensors on a device; torch's own random state stays as it is."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        self.device, self.dtype = device, dtype
        self._generator = torch.Generator(device).manual_seed(SEED)

    def normal(self, *shape: int) -> torch.Tensor:
        """Return normally distributed values."""
        values = torch.randn(shape, generator=self._generator, device=self.device)
        return values.to(self.dtype)

    def words(self, num: int) -> torch.Tensor:
        """Return int64 values of all sizes."""
        bounds = -(2**63), 2**63 - 1
        return torch.randint(*bounds, (num,), generator=self._generator, device=self.device)

    def integers(self, values: Any) -> torch.Tensor:
        """Return `values` as int32."""
        return torch.tensor(values, dtype=torch.int32, device=self.device)

    def unwritten_pool(self, *shape: int) -> torch.Tensor:
        """Return NaN."""
        return torch.full(shape, math.nan, dtype=self.dtype, device=self.device)


_Pair = tuple[torch.Tensor, torch.Tensor]
"""The result of a kernel, and that of its reference."""
_Case = Callable[[KernelDimensions, _RandomTensors], Iterator[_Pair]]


def check_kernels(
    dimensions: KernelDimensions, device: torch.device, dtype: torch.dtype, *, is_fp8: bool = False
) -> list[KernelCheck]:
    """Return how far each kernel is from its reference on `device` in `dtype`; raises nothing.

    `is_fp8` adds those that write FP8, which needs compute capability 8.9 on a GPU.
    """
    cases = [(name, case, LIMITS[dtype]) for name, case in CASES]
    cases += [(name, case, FP8_LIMIT) for name, case in FP8_CASES] if is_fp8 else []
    checks = []
    for name, case, limit in cases:
        error, failure = _largest_error(case, dimensions, _RandomTensors(device, dtype))
        checks.append(KernelCheck(name, error, limit, failure))
    return checks


def _largest_error(
    case: _Case, dimensions: KernelDimensions, random: _RandomTensors
) -> tuple[float, str | None]:
    try:
        return max(relative_error(*pair) for pair in case(dimensions, random)), None
    except Exception as failure:  # noqa: BLE001 - whatever it is, the kernel is not used
        return math.inf, f"{type(failure).__name__}: {failure}"


def relative_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest expected value.

    It is infinite where only one of both is NaN.
    """
    if not torch.equal(result.isnan(), expected.isnan()):
        return math.inf
    wide, wide_expected = result.double().nan_to_num(), expected.double().nan_to_num()
    largest = wide_expected.abs().max().clamp(min=torch.finfo(expected.dtype).tiny)
    return float((wide - wide_expected).abs().max() / largest)


def _add_rms_norm(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    weight = random.normal(dimensions.hidden)
    for rows in NUM_ROWS:
        hidden, added = (random.normal(rows, dimensions.hidden) for _ in range(2))
        for delta in (added, None):
            results = add_rms_norm(hidden, delta, weight, dimensions.eps)
            yield from zip(
                results,
                reference.add_rms_norm(hidden, delta, weight, dimensions.eps),
                strict=True,
            )


def _rotate_and_write(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    num_kv, width = dimensions.num_kv_heads, dimensions.head_width
    packed = (dimensions.num_heads + 2 * num_kv) * width
    for rows, bias in itertools.product(NUM_ROWS, (random.normal(packed), None)):
        qkv, angles = random.normal(rows, packed), random.normal(rows, width)
        rotation = angles.cos(), angles.sin()
        slots = random.integers([6, -1, 0, 3, 8][:rows])
        kv, expected_kv = (random.unwritten_pool(2, 9, num_kv, width) for _ in range(2))
        yield (
            rotate_and_write(qkv, bias, rotation, slots, (kv[0], kv[1])),
            reference.rotate_and_write(
                qkv, bias, rotation, slots, (expected_kv[0], expected_kv[1])
            ),
        )
        yield kv, expected_kv


class _AttentionCase(NamedTuple):
    """The arguments of `decode_attention` without the number of processors."""

    queries: torch.Tensor
    kv: _Pair
    runs: torch.Tensor
    scale: float


def _attention_cases(
    dimensions: KernelDimensions, random: _RandomTensors
) -> Iterator[tuple[_AttentionCase, int]]:
    num_kv, width = dimensions.num_kv_heads, dimensions.head_width
    kv = random.unwritten_pool(2, POOL_TOKENS, num_kv, width)
    for start, length in ((0, 4097), (4200, 300)):
        kv[:, start : start + length] = random.normal(2, length, num_kv, width)
    runs = random.integers([(0, prefix, 4300, tail) for prefix, tail in RUN_LENGTHS])
    for num_splits in SPLIT_COUNTS:
        rows = runs if num_splits == SPLIT_COUNTS[0] else runs[3:4]
        queries = random.normal(len(rows), dimensions.num_heads, width)
        num_processors = processors_of_splits(num_splits, len(rows), num_kv)
        yield _AttentionCase(queries, (kv[0], kv[1]), rows, width**-0.5), num_processors


def _decode_attention(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    for case, num_processors in _attention_cases(dimensions, random):
        yield decode_attention(*case, num_processors), reference.decode_attention(*case)


def _decode_attention_fp8(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    for case, num_processors in _attention_cases(dimensions, random):
        found = fp8.dequantize(decode_attention_fp8(*case, num_processors))
        yield found, reference.decode_attention(*case).flatten(1).float()


def _silu_mul(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    for rows in NUM_ROWS:
        gate_up = random.normal(rows, 2 * dimensions.intermediate)
        yield silu_mul(gate_up), reference.silu_mul(gate_up)


def _add_rms_norm_fp8(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    weight = random.normal(dimensions.hidden)
    for rows in NUM_ROWS:
        hidden, added = (random.normal(rows, dimensions.hidden) for _ in range(2))
        for delta in (added, None):
            total, normed = add_rms_norm_fp8(hidden, delta, weight, dimensions.eps)
            expected = reference.add_rms_norm(hidden, delta, weight, dimensions.eps)
            yield total, expected[0]
            yield fp8.dequantize(normed), expected[1].float()


def _silu_mul_fp8(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    for rows in NUM_ROWS:
        gate_up = random.normal(rows, 2 * dimensions.intermediate)
        yield fp8.dequantize(silu_mul_fp8(gate_up)), reference.silu_mul(gate_up).float()


def _plain_tokens(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    num_rows = len(TEMPERATURES)
    logits = random.normal(num_rows, dimensions.vocabulary)
    logits[-1, dimensions.vocabulary // 2] = math.nan
    floats = [torch.tensor(values, device=random.device) for values in (TEMPERATURES, FLOORS)]
    rows = PlainRows(random.words(num_rows), *floats)
    for last in (1, num_rows):
        some = PlainRows(*[each[:last] for each in rows])
        is_equal = plain_tokens(logits[:last], some) == reference_tokens(logits[:last], some)
        yield is_equal.to(random.dtype), torch.ones_like(logits[:last, 0])


def _picked_tokens(dimensions: KernelDimensions, random: _RandomTensors) -> Iterator[_Pair]:
    num_rows = len(TOP_P)
    scores = random.normal(num_rows, dimensions.vocabulary).float() * 3
    columns = [torch.tensor(values, device=random.device) for values in (FLOORS, TOP_K)]
    top_p = torch.tensor(TOP_P, dtype=torch.float64, device=random.device)
    keys = random.words(num_rows)
    ranked = RankedRows(scores, *[each.unsqueeze(1) for each in (keys, *columns, top_p)])
    for width in (1, MAX_CANDIDATES):
        candidates = ranked.candidates(width)
        found, expected = picked_tokens(candidates, ranked), reference_picked(candidates, ranked)
        for one, other in zip(found, expected, strict=True):
            yield (one == other).to(random.dtype), torch.ones_like(one, dtype=random.dtype)


CASES: tuple[tuple[str, _Case], ...] = (
    ("add_rms_norm", _add_rms_norm),
    ("rotate_and_write", _rotate_and_write),
    ("decode_attention", _decode_attention),
    ("silu_mul", _silu_mul),
    ("plain_tokens", _plain_tokens),
    ("picked_tokens", _picked_tokens),
)
"""Each kernel's name with what compares it."""
FP8_CASES: tuple[tuple[str, _Case], ...] = (
    ("add_rms_norm_fp8", _add_rms_norm_fp8),
    ("decode_attention_fp8", _decode_attention_fp8),
    ("silu_mul_fp8", _silu_mul_fp8),
)
"""The same for those that write FP8."""
