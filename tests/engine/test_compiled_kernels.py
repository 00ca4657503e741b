"""The kernels compile for real GPUs, though none is here: Triton brings the compiler and ptxas."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.wanted import absent

HERE = Path(__file__).parent
LAYER = [
    "_add_rms_norm",
    "_rotate_and_write",
    "_attend_to_split",
    "_combine_splits",
    "_add_rms_norm",
    "_silu_mul",
]
"""The launches of one layer's kernels; with four products it has ten."""
FP8_LAYER = [*LAYER[:-1], "_silu_mul_fp8"]
PLAIN = ["_split_maxima", "_split_winners", "_combine_winners"]
SAMPLING = [*PLAIN, "_pick_tokens"]


BEHIND = {"greedy": 1, "temperature": 1, "min-p": 1, "top-p": 14, "top-k": 14, "penalties": 22}
"""Launches behind a recorded step, of which one copies the results to the host."""


def output_of(program, *arguments, cache):
    """Return what a program prints, whose kernels are compiled and not interpreted."""
    if importlib.util.find_spec("triton") is None:
        absent("triton", "it is part of the extra dev, on Linux")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path]),
        "TRITON_CACHE_DIR": str(cache),
        "TRITON_INTERPRET": "0",
    }
    command = [sys.executable, str(HERE / program), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)
    return json.loads(done.stdout)


SECOND_SIZES = [1, 9, 4, 28, 1, 19, 38, 38, 1, 1]
GRIDS = {
    rows: [[rows, size, num_splits if size == 4 else 1] for size in SECOND_SIZES]
    for rows, num_splits in ((1, 64), (64, 8))
}
"""By the number of rows, which is all that they depend on: lengths change between replays."""
FP8_GRIDS = {rows: [*grids[:5], [rows, 1, 1], *grids[6:]] for rows, grids in GRIDS.items()}


@pytest.mark.parametrize(
    ("capability", "dtype"), [(80, "bfloat16"), (89, "float16"), (90, "bfloat16")]
)
def test_each_is_one_launch_that_fits_into_registers_and_shared_memory(tmp_path, capability, dtype):
    result = output_of("compiled_kernels.py", str(capability), dtype, cache=tmp_path)
    check_launches(result, LAYER, GRIDS)
    for kernel in ("_split_winners", "_pick_tokens"):
        (program,) = tmp_path.rglob(f"{kernel}.ptx")
        check_that_noise_is_that_of_torch(program.read_text())


def test_so_are_those_that_write_fp8(tmp_path):
    result = output_of("compiled_kernels.py", "89", "bfloat16", "fp8", cache=tmp_path)
    check_launches(result, FP8_LAYER, FP8_GRIDS)


def check_launches(result, layer, grids):
    for rows, launches in result["steps"].items():
        assert [launch["kernel"] for launch in launches] == layer + SAMPLING
        assert [launch["grid"] for launch in launches] == grids[int(rows)]
        for launch in launches:
            assert launch["shared_bytes"] <= result["shared_limit_bytes"]
    assert set(result["spilled_bytes"]) == {*layer, *SAMPLING}
    assert not any(result["spilled_bytes"].values())
    # So that shared memory, not registers, limits how many programs a processor runs at once.
    assert result["registers"]["_attend_to_split"] <= 128


def check_that_noise_is_that_of_torch(program):
    """Check that all arithmetic rounds to nearest, and that no product is fused with a sum."""
    operations = re.findall(r"\b(?:add|sub|mul|div|fma|mad|cvt)\.[a-z0-9.]*f32\S*", program)
    exact = {f"{name}.rn.f32" for name in ("add", "sub", "mul", "div")}
    from_integers = {"cvt.rn.f32.s32", "cvt.rn.f32.s64"}
    widening = {"cvt.f32.bf16", "cvt.f32.f16", "cvt.f64.f32"}
    assert exact | from_integers <= set(operations) <= exact | from_integers | widening


@pytest.mark.parametrize("quantization", [[], ["fp8"]])
def test_a_decode_step_launches_ten_kernels_a_layer_whatever_its_size(tmp_path, quantization):
    result = output_of("counted_launches.py", *quantization, cache=tmp_path)
    one_row, many_rows = result["recorded"].values()
    assert one_row == many_rows
    # Beside the layers: the embedding, two lookups of rotations, the first norm, the last product,
    # and sampling.
    assert sum(one_row.values()) == 10 * result["num_layers"] + 5 + len(PLAIN)
    for kinds in result["behind"].values():
        assert {kind: sum(counts.values()) for kind, counts in kinds.items()} == BEHIND
