"""The doctor's checks of a GPU, on whatever machine runs them."""

import argparse

import pytest
from fakes import quantized_checkpoints

from flamingo_common.service.checks import Status
from flamingo_pod.doctor import __main__ as doctor
from flamingo_pod.doctor import device, model, sizing_table
from flamingo_pod.doctor.model import FoundModel
from flamingo_pod.engine.startup import sizing
from flamingo_pod.model.builtin import build
from flamingo_pod.model.dimensions import PUBLISHED
from flamingo_pod.model.placement import Gpu, Placement


@pytest.mark.parametrize(
    ("capability", "dtype", "status"),
    [
        ((7, 5), "bfloat16", Status.FAILED),
        ((7, 5), "float16", Status.FAILED),
        ((8, 0), "float32", Status.FAILED),
        ((8, 0), "bfloat16", Status.OK),
        ((9, 0), "float16", Status.OK),
    ],
)
def test_the_doctor_fails_what_a_pod_would_refuse(capability, dtype, status):
    gpu = Gpu("Some GPU", capability)
    name, support, _ = device.checks(Placement("cuda", dtype), gpu)
    assert name.message.startswith("Some GPU")
    assert support.status is status


def test_the_advice_is_not_part_of_the_message():
    _, support, _ = device.checks(Placement("cuda", "float32"), Gpu("Some GPU", (8, 0)))
    assert support.advice.startswith("use --dtype bfloat16")
    assert support.advice not in support.message


@pytest.mark.parametrize(
    ("environ", "found"),
    [({}, None), ({"CC": "mycc"}, "mycc"), ({"CC": "missing"}, None)],
)
def test_the_compiler_is_the_one_that_triton_would_use(environ, found, tmp_path):
    (tmp_path / "mycc").touch(mode=0o755)
    check = device.compiler(environ | {"PATH": str(tmp_path)}, has_triton=True)
    assert check.status is (Status.OK if found else Status.WARNING)
    assert found is None or check.message == str(tmp_path / found)


def test_gcc_is_found_without_a_variable(tmp_path):
    (tmp_path / "gcc").touch(mode=0o755)
    assert device.compiler({"PATH": str(tmp_path)}, has_triton=True).status is Status.OK


def test_a_build_of_torch_without_triton_is_named():
    assert "Triton is not installed" in device.compiler({}, has_triton=False).message


@pytest.mark.parametrize(
    ("gib", "status", "text"),
    [
        (14, Status.FAILED, "15.4 GiB of weights"),
        (17.4, Status.WARNING, "or 0 of 20 min; encoder cache in host memory"),
        (22, Status.OK, "of 20 min; encoder cache in host memory"),
        (78, Status.OK, "of 20 min; encoder cache in GPU memory"),
    ],
)
def test_the_memory_of_a_gpu_is_divided_as_a_pod_does(gib, status, text):
    usable_bytes = int(gib * 2**30)
    needs = sizing_table.needs_of(PUBLISHED, "bfloat16", usable_bytes)
    check = device.gpu_memory(usable_bytes, needs)
    assert check.status is status
    assert text in check.message
    assert bool(check.advice) is (status is not Status.OK)


@pytest.mark.parametrize(
    ("capability", "status"), [((8, 6), Status.FAILED), ((8, 9), Status.OK), ((9, 0), Status.OK)]
)
def test_the_doctor_knows_which_gpus_compute_in_fp8(capability, status):
    check = device.fp8_check(Placement("cuda", "bfloat16"), Gpu("Some GPU", capability))
    assert check.status is status


def test_fp8_on_a_cpu_is_a_warning():
    assert device.fp8_check(Placement("cpu", "float32"), None).status is Status.WARNING


@pytest.mark.parametrize(("is_fp8", "weights"), [(False, "15.4 GiB"), (True, "9.3 GiB")])
def test_the_memory_of_weights_that_are_quantized_while_loading(is_fp8, weights):
    placement, usable_bytes = Placement("cuda", "bfloat16"), 24 * 10**9 - sizing.GPU_CONTEXT_BYTES
    needs = device.needs_of(placement, FoundModel(PUBLISHED), usable_bytes, is_fp8=is_fp8)
    check = device.gpu_memory(usable_bytes, needs)
    assert check.message.startswith(f"{weights} of weights")
    row = f"| 24 GB | {'FP8' if is_fp8 else 'bfloat16'} |"
    tokens = check.message.split("KV cache of ")[1].split(" tokens")[0]
    assert any(
        line.startswith(row) and f"| {tokens} |" in line
        for line in sizing_table.table().splitlines()
    ), "the doctor and the page compute the same"


def test_a_checkpoint_in_folder_is_sized_as_it_is_loaded(model_cache):
    folder = build.ensure_built("flamingo-tiny", model_cache)
    found, _ = model.inspect(str(folder), None)
    as_it_is, quantized = (found.loaded_bytes(2, is_fp8=is_fp8) for is_fp8 in (False, True))
    assert as_it_is == found.contents.num_parameters * 2
    assert as_it_is / 2 < quantized < as_it_is


def test_the_doctor_reads_a_checkpoint_published_in_fp8(model_cache, tmp_path):
    original = build.ensure_built("flamingo-tiny", model_cache)
    layout = quantized_checkpoints.LAYOUTS["fp8 in blocks"]
    quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    arguments = argparse.Namespace(
        model=str(tmp_path / "fp8"), revision=None, device="cpu", dtype="auto", quantization=None
    )
    found = {check.topic: check for check in doctor.checks(arguments)}
    assert found["model"].status is Status.OK
    assert "0.4 M parameters" in found["model"].message, "scales are not parameters"
    assert found["FP8"].status is Status.WARNING
