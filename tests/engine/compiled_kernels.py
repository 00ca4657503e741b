"""Compile the kernels of a layer and of sampling for a GPU, and print their launches as JSON.

A program of its own, because kernels are either compiled or interpreted in a process.
"""

import dataclasses
import json
import sys

import torch
from fakes.triton_driver import SHARED_BYTES, CompilingDriver

from flamingo_pod.engine.kernels.activation import silu_mul, silu_mul_fp8
from flamingo_pod.engine.kernels.decode_attention import decode_attention, decode_attention_fp8
from flamingo_pod.engine.kernels.norm import add_rms_norm, add_rms_norm_fp8
from flamingo_pod.engine.kernels.picked_tokens import picked_tokens
from flamingo_pod.engine.kernels.plain_tokens import plain_tokens
from flamingo_pod.engine.kernels.rotary import rotate_and_write
from flamingo_pod.engine.kernels.self_test import KernelDimensions
from flamingo_pod.engine.sampling.batch import PlainRows
from flamingo_pod.engine.sampling.filters import RankedRows
from flamingo_pod.engine.sampling.state import MAX_CANDIDATES

MUSIC_FLAMINGO = KernelDimensions(3584, 18944, 28, 4, 128, 1e-6, 151_672)
POOL_TOKENS = 64
NUM_PROCESSORS = 132


def run_layer(dimensions, rows, dtype, *, is_fp8):
    """Call the kernels as one layer does, with tensors of a CPU, which are not read."""
    num_kv, width = dimensions.num_kv_heads, dimensions.head_width
    hidden = torch.zeros(rows, dimensions.hidden, dtype=dtype)
    qkv = torch.zeros(rows, (dimensions.num_heads + 2 * num_kv) * width, dtype=dtype)
    cos = torch.zeros(rows, width, dtype=dtype)
    pool = torch.zeros(2, 3, POOL_TOKENS, num_kv, width, dtype=dtype)
    kv = pool[0, 1], pool[1, 1]
    slots, runs = torch.zeros(rows, dtype=torch.int32), torch.zeros(rows, 4, dtype=torch.int32)
    norm = add_rms_norm_fp8 if is_fp8 else add_rms_norm
    attend = decode_attention_fp8 if is_fp8 else decode_attention
    activate = silu_mul_fp8 if is_fp8 else silu_mul
    norm(hidden, hidden, hidden[0], dimensions.eps)
    queries = rotate_and_write(qkv, qkv[0], (cos, cos), slots, kv)
    attend(queries, kv, runs, width**-0.5, NUM_PROCESSORS)
    norm(hidden, hidden, hidden[0], dimensions.eps)
    activate(torch.zeros(rows, 2 * dimensions.intermediate, dtype=dtype))


def run_sampling(dimensions, rows, dtype):
    """Sample plain and ranked rows from logits of a CPU, which are not read."""
    floats = torch.zeros(rows), torch.zeros(rows)
    plain = PlainRows(torch.zeros(rows, dtype=torch.int64), *floats)
    logits = torch.zeros(rows, dimensions.vocabulary, dtype=dtype)
    plain_tokens(logits, plain)
    column = torch.zeros(rows, 1)
    integers, wide = column.long(), column.double()
    ranked = RankedRows(logits.float(), integers, column, integers, wide)
    picked_tokens(ranked.candidates(MAX_CANDIDATES), ranked)


def main(capability, dtype, quantization=""):
    driver = CompilingDriver(int(capability))
    driver.activate()
    steps = {}
    for rows in (1, 64):
        run_layer(MUSIC_FLAMINGO, rows, getattr(torch, dtype), is_fp8=quantization == "fp8")
        run_sampling(MUSIC_FLAMINGO, rows, getattr(torch, dtype))
        steps[rows], driver.launches = driver.launches, []
    result = {
        "steps": {rows: [dataclasses.asdict(one) for one in steps[rows]] for rows in steps},
        "shared_limit_bytes": SHARED_BYTES[driver.capability],
        "registers": driver.registers,
        "spilled_bytes": driver.spilled_bytes,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
