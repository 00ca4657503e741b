"""`flamingo bench gpu` on a CPU with a small model, and the floors that it compares with."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from flamingo_pod.bench.gpu import options, random_model, reference, results
from flamingo_pod.bench.gpu.engine_runs import EngineRuns
from flamingo_pod.bench.gpu.measurements import Measurements, Stage, rows_of
from flamingo_pod.bench.gpu.physics import Ceilings, StepCosts
from flamingo_pod.bench.gpu.plan import PUBLISHED as PUBLISHED_PLAN
from flamingo_pod.bench.gpu.plan import QUICK, TimeLimits, amount_within
from flamingo_pod.bench.gpu.results import Equality, GpuReport, KernelError, Row, table
from flamingo_pod.engine.core import EngineCore
from flamingo_pod.engine.options import EngineOptions
from flamingo_pod.model.dimensions import PUBLISHED, dimensions_of
from flamingo_pod.model.placement import Gpu

COSTS = StepCosts(PUBLISHED, element_bytes=2, layer_element_bytes=2)
H200 = Ceilings(bytes_per_s=4.3e12, flops_per_s=790e12)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("bench") / "gpu.json"
    command = ["gpu", "--device", "cpu", "--model", "flamingo-tiny", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "flamingo_pod.bench", *command],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(out.read_text())


def test_the_tokens_are_those_of_transformers(run):
    printed, report = run
    equality = report["equality"]
    assert (equality["num_compared"], equality["num_equal"]) == (32, 32)
    assert (equality["precision"], equality["largest_margin"]) == ("float32", 0)
    assert printed.startswith("32 of 32 greedy tokens in float32 are those of transformers")


def test_every_measurement_has_a_row(run):
    printed, report = run
    names = [row["name"] for row in report["rows"]]
    assert names == [
        *("copy", "matrix product", "prefill", "encoder", "decode step of 1", "decode step of 4"),
        *("one clip of 3 s", "follow-up, clip of 3 s"),
        *("one clip of 31 s", "follow-up, clip of 31 s"),
        *("saturated", "saturated, audio", "transformers, one by one", "transformers, batch of 2"),
    ]
    assert len(set(names)) == len(names), "a program can look them up"
    assert all(row["value"] > 0 for row in report["rows"])
    assert all(f"| {name} |" in printed for name in names)


def test_the_report_says_what_was_measured_and_where(run):
    printed, report = run
    assert report["backend"] == "torch"
    assert report["kernels"] == [], "there is no GPU to run them"
    assert "backend torch: the device is cpu, and Triton is for GPUs" in printed
    assert {"cpu", "commit", "torch", "transformers"} <= report["machine"].keys()
    assert report["command"][:3] == ["flamingo", "bench", "gpu"]
    assert report["failures"] == []
    assert report["total_s"] > 0


@pytest.mark.parametrize(
    ("flags", "gpu", "message"),
    [
        ("--device cuda", None, "no GPU found; give the container or the process access to one"),
        ("", Gpu("Tesla T4", (7, 5)), "Tesla T4 has compute capability 7.5"),
        ("--dtype float32", Gpu("L4", (8, 9)), "do not support float32; use --dtype bfloat16"),
        ("--quantization fp8", Gpu("A100", (8, 0)), "FP8 weights need 8.9 (NVIDIA Ada or Hopper)"),
        ("--max-num-seqs 0", None, "--max-num-seqs: 0 is not between 1 and 1024"),
        ("--kv-cache-tokens 10", None, "--kv-cache-tokens: 10 is less than 1024"),
        ("--out /nowhere/gpu.json", None, "--out: the folder /nowhere does not exist"),
        ("--out /", None, "--out: / is a folder"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_it_is_tried(flags, gpu, message, capsys):
    with pytest.raises(SystemExit) as ended:
        options.parse(flags.split(), gpu)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_gpu_measures_the_published_model_and_a_cpu_a_tiny_one():
    on_gpu, on_cpu = options.parse([], Gpu("L4", (8, 9))), options.parse([], None)
    assert (on_gpu.model, on_gpu.dtype, on_gpu.quick) == ("published", "bfloat16", False)
    assert (on_cpu.model, on_cpu.dtype, on_cpu.quick) == ("flamingo-tiny", "float32", True)


def test_the_published_dimensions_give_a_configuration_of_them(tiny):
    config = random_model.with_dimensions(tiny.model.config, PUBLISHED)
    assert dimensions_of(config.to_dict()) == PUBLISHED
    assert config.audio_config.num_attention_heads == 20
    assert config.audio_token_id == tiny.model.config.audio_token_id


def test_the_published_model_costs_what_was_computed_for_it():
    # 6.525 B of layers and 0.544 B of the last product, two bytes each.
    assert COSTS.decode_weight_bytes == pytest.approx(14.14e9, rel=0.001)
    assert COSTS.decode_bytes(1, 1000) - COSTS.decode_weight_bytes == 57_344_000
    assert COSTS.prefill_flops(810) == pytest.approx(10.7e12, rel=0.02)
    assert COSTS.prefill_flops(30_060) == pytest.approx(574e12, rel=0.02)
    assert COSTS.window_flops() == pytest.approx(2.27e12, rel=0.02)


def test_fp8_halves_what_is_read_of_the_layers():
    costs = StepCosts(PUBLISHED, element_bytes=2, layer_element_bytes=1)
    assert costs.decode_weight_bytes == pytest.approx(6.525e9 + 2 * 0.5436e9, rel=0.001)
    assert costs.decode_flops(8) == COSTS.decode_flops(8)


def test_a_quantized_model_is_measured_as_one(tiny):
    source = random_model.ModelSource("flamingo-tiny", "cpu", "float32", "fp8")
    costs = random_model.costs_of(random_model.load(source).model)
    assert (costs.element_bytes, costs.layer_element_bytes) == (4, 1)
    assert random_model.costs_of(tiny.model).layer_element_bytes == 4


def test_floors_of_an_h200():
    assert H200.decode_floor_s(COSTS, 1, 960) == pytest.approx(3.30e-3, rel=0.01)
    assert H200.decode_floor_s(COSTS, 256, 960) == pytest.approx(6.57e-3, rel=0.01)
    one = H200.request_floor_s(COSTS, num_windows=1, num_prompt=810, num_output=300)
    assert one == pytest.approx(1.0, rel=0.02)


def test_a_batch_so_large_that_products_take_longer_than_reading():
    no_context = H200.decode_floor_s(COSTS, 1000, 0)
    assert no_context == pytest.approx(2 * 7.07e9 * 1000 / 790e12, rel=0.01)


def test_the_floor_of_a_caption_among_many(measurements):
    published = replace(measurements, costs=COSTS, ceilings=H200, plan=PUBLISHED_PLAN)
    floor_s = published.caption_floor_s(num_prompt=810, num_rows=256)
    assert 1 / floor_s == pytest.approx(41, rel=0.02)


@pytest.mark.parametrize(
    ("margin", "limit", "is_failure"),
    [(0.0, 0.007, False), (0.2, 0.25, False), (0.3, 0.25, True), (3.0, None, False)],
)
def test_tokens_that_rounding_does_not_explain_are_a_failure(margin, limit, is_failure):
    found = Equality("bfloat16", 32, 20, margin, limit)
    assert found.is_failure == is_failure
    assert ("too far" in found.lines()[1]) == is_failure


def test_a_limit_is_set_where_rounding_is_not_amplified():
    assert results.margin_limit("published", "bfloat16", is_quantized=False) == 0.25
    assert results.margin_limit("published", "bfloat16", is_quantized=True) == 1.0
    assert results.margin_limit("flamingo-tiny-27m", "bfloat16", is_quantized=False) is None
    assert results.margin_limit("flamingo-tiny-27m", "float32", is_quantized=False) == 0.007


def test_the_margin_of_a_token_is_in_standard_deviations():
    logits = torch.tensor([2.0, -2.0, 2.0, -2.0])
    assert reference.margin(logits, 1) == pytest.approx(4 / logits.std().item())
    assert reference.margin(logits, 0) == 0


def test_all_measurements_together_are_planned_to_take_less_than_seven_minutes():
    assert PUBLISHED_PLAN.limit_s < 7 * 60


@pytest.mark.parametrize(
    ("limit_s", "one_s", "amount"), [(10, 0.1, 50), (10, 1, 10), (10, 4, 2), (10, 99, 1)]
)
def test_a_slow_device_measures_less(limit_s, one_s, amount):
    assert amount_within(limit_s, one_s, at_most=50) == amount


@pytest.fixture(scope="module")
def measurements(tiny):
    """A small engine of few sequences, and no time to run more than the least."""
    sizes = EngineOptions(
        kv_cache_tokens=1024, encoder_cache_bytes=2**20, model_impl="fused", max_num_seqs=2
    )
    runs = EngineRuns(tiny, EngineCore(tiny, sizes))
    limits = TimeLimits(*[1e-9] * 6)
    plan = replace(QUICK, limits=limits, clips_s=(3.0, 60.0), decode_context=300)
    return Measurements(runs, random_model.costs_of(tiny.model), Ceilings(1e9, 1e9), plan)


def test_what_does_not_fit_or_takes_too_long_is_said_and_does_not_stop_the_rest(measurements):
    notes = {row.name: row.note for row in rows_of(measurements.stages) if row.value is None}
    assert notes == {
        "decode step of 1": "its prompts took more than 2e-09 s",
        "decode step of 4": "--max-num-seqs is 2 here",
        "one clip of 3 s": "not answered within 2e-09 s",
        "one clip of 60 s": "needs 1,568 tokens of KV, and 1,024 fit",
    }
    assert not measurements.runs.core.has_work()


def test_rows_that_do_not_fit_together_are_not_tried(measurements):
    few = replace(measurements, plan=replace(measurements.plan, decode_rows=(2,), num_steps=50))
    row = next(each for each in rows_of(few.stages) if each.name == "decode step of 2")
    assert row.note == "needs 1,128 tokens of KV, and 1,024 fit"


def test_a_measurement_that_fails_is_a_failure_of_the_report_and_the_next_ones_go_on(capsys):
    def fail():
        raise RuntimeError("CUDA error: an illegal memory access\nmore lines")
        yield

    rows = [*rows_of([Stage("encoder", fail), Stage("b", lambda: iter([Row("b", 1, "s")]))])]
    note = "failed: RuntimeError: CUDA error: an illegal memory access"
    assert [row.line() for row in rows] == [
        f"| encoder | not measured |  |  | {note} |",
        "| b | 1 s |  |  |  |",
    ]
    assert "Traceback" in capsys.readouterr().err
    report = GpuReport(["flamingo"], {}, "triton", "", [], None, rows, 1.0)
    assert len(report.failures) == 1
    assert report.lines()[-1].startswith("FAILED: encoder: failed: RuntimeError: CUDA error")


def test_a_kernel_that_failed_is_named_and_can_be_written_as_json():
    kernels = [KernelError("silu_mul", math.inf, 0.01, "no C compiler"), KernelError("n", 0, 0.01)]
    report = GpuReport(["flamingo"], {}, "torch", "", kernels, None, [], 1.0)
    assert report.failures == [
        "kernel silu_mul: FAILED, error inf, limit 1.0e-02: no C compiler",
    ]
    written = json.loads(json.dumps(report.encode(), allow_nan=False))
    assert written["kernels"][0]["largest_error"] is None


def test_the_table_has_shares_where_there_are_any():
    rows = [Row("a", 1234.5, "ms", 0.754, 0.75, "n"), Row("b", 0.01234, "s")]
    assert table(rows)[2:] == ["| a | 1,234 ms | 75% | 75% | n |", "| b | 0.0123 s |  |  |  |"]
