"""The command line of `flamingo bench gpu`."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from flamingo_pod.bench.gpu import random_model
from flamingo_pod.engine.startup.sizing import MIN_POOL_TOKENS
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS
from flamingo_pod.model.checkpoint import DTYPES
from flamingo_pod.model.placement import (
    Gpu,
    choose_placement,
    fp8_unsupported_reason,
    unsupported_reason,
)

PROG = "flamingo bench gpu"
ABOUT = """\
Compare the engine with what a device can do. Makes the published model with random weights on the
device, so no checkpoint is needed; checks the kernels, and the engine's tokens against those of
transformers' generate; then measures steps, requests and a saturated engine, each beside what the
device reaches in a plain copy and matrix product. Takes some three to eight minutes on a GPU, and
ten seconds on a CPU, where a tiny model and small amounts are the default.
"""
MAX_NUM_SEQS = 1024


def parse(argv: Sequence[str], gpu: Gpu | None) -> argparse.Namespace:
    """Return the options, or print every error and exit with status 2."""
    parser = _parser()
    parsed = parser.parse_args(argv)
    placement = choose_placement(parsed.device, parsed.dtype, gpu)
    parsed.device, parsed.dtype = placement.device, placement.dtype
    if errors := [*_errors(parsed, gpu)]:
        parser.error("; ".join(errors))
    is_cpu = parsed.device == "cpu"
    parsed.model = parsed.model or ("flamingo-tiny" if is_cpu else random_model.PUBLISHED_NAME)
    parsed.quick = parsed.quick or is_cpu
    return parsed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROG, description=ABOUT, allow_abbrev=False)
    models = [random_model.PUBLISHED_NAME, *BUILTIN_MODELS]
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--model", choices=models, help="default: published on a GPU")
    parser.add_argument(
        "--dtype",
        choices=["auto", *DTYPES],
        default="auto",
        help="default: bfloat16 on a GPU, float32 on a CPU",
    )
    parser.add_argument("--quantization", choices=["fp8"], help="default: none")
    parser.add_argument("--max-num-seqs", type=int, help="default: as in flamingo serve")
    parser.add_argument("--kv-cache-tokens", type=int, help="default: what fits")
    parser.add_argument(
        "--async-scheduling",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="launch a decoding step before the one before it is read (default)",
    )
    parser.add_argument("--quick", action="store_true", help="small amounts; default on a CPU")
    parser.add_argument("--out", type=Path, help="write the report as JSON to this file")
    return parser


def _errors(parsed: argparse.Namespace, gpu: Gpu | None) -> Iterator[str]:
    """Yield one sentence for each error."""
    placement = choose_placement(parsed.device, parsed.dtype, gpu)
    if reason := unsupported_reason(placement, gpu):
        yield f"{reason}; flamingo doctor says more"
    elif parsed.quantization and (
        reason := fp8_unsupported_reason(gpu if placement.device == "cuda" else None)
    ):
        yield reason
    num_seqs, tokens, out = parsed.max_num_seqs, parsed.kv_cache_tokens, parsed.out
    if num_seqs is not None and not 1 <= num_seqs <= MAX_NUM_SEQS:
        yield f"--max-num-seqs: {num_seqs} is not between 1 and {MAX_NUM_SEQS}"
    if tokens is not None and tokens < MIN_POOL_TOKENS:
        yield f"--kv-cache-tokens: {tokens} is less than {MIN_POOL_TOKENS}"
    if out is not None and not out.absolute().parent.is_dir():
        yield f"--out: the folder {out.absolute().parent} does not exist"
    if out is not None and out.is_dir():
        yield f"--out: {out} is a folder"
