"""FP8: what a matrix becomes, the product, and what quantizing a model while loading leaves."""

import gc
import weakref

import numpy as np
import pytest
import torch
from fakes.host_synchronisation import forbid_host_synchronisation

from flamingo_pod.model import checkpoint, fp8, linear
from flamingo_pod.model.fp8 import Fp8Linear


def random_matrix(*shape, seed=0, dtype=torch.float32):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def test_a_quantized_value_is_off_by_half_a_step_at_most():
    matrix = random_matrix(64, 256) * torch.logspace(-6, 6, 64)[:, None]
    quantized = fp8.quantize(matrix)
    assert quantized.data.dtype == torch.float8_e4m3fn
    assert quantized.scale.shape == (64, 1)
    # Three bits of mantissa: 2**-4 of the value; below 2**-6 of the scale, steps are 2**-9 of it.
    allowed = (matrix.abs() * 2**-4).maximum(quantized.scale * 2**-10) * (1 + 1e-6)
    assert ((fp8.dequantize(quantized) - matrix).abs() <= allowed).all()


def test_the_largest_value_of_a_row_is_exact():
    matrix = random_matrix(16, 64)
    places = matrix.abs().argmax(1, keepdim=True)
    found = fp8.dequantize(fp8.quantize(matrix))
    torch.testing.assert_close(found.gather(1, places), matrix.gather(1, places))


def test_a_row_of_zeros_stays_zero():
    assert not fp8.dequantize(fp8.quantize(torch.zeros(2, 16))).any()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_value_that_is_not_finite_spoils_its_own_row_only(value):
    rows, weight = random_matrix(3, 64), fp8.quantize(random_matrix(32, 64, seed=1))
    expected = fp8.linear(rows, weight, None)
    rows[1, 5] = value
    found = fp8.linear(rows, weight, None)
    assert found[1].isnan().all()
    assert torch.equal(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("shape", [(0, 64), (1, 64), (7, 64), (2, 5, 64), (300, 64)])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_product_is_that_of_the_quantized_values(shape, has_bias, dtype):
    rows = random_matrix(*shape, dtype=dtype)
    weight = fp8.quantize(random_matrix(96, 64, seed=1))
    bias = random_matrix(96, seed=2, dtype=dtype) if has_bias else None
    found = linear.linear(rows, weight, bias)
    inputs = fp8.dequantize(fp8.quantize(rows)).double()
    expected = inputs @ fp8.dequantize(weight).double().T
    if bias is not None:
        expected = expected + bias.double()
    assert (found.shape, found.dtype) == (expected.shape, dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=tolerance, atol=40 * tolerance)


def test_the_product_does_not_wait_for_the_device():
    rows, weight = random_matrix(5, 64), fp8.quantize(random_matrix(32, 64, seed=1))
    bias = random_matrix(32, seed=2)
    expected = linear.linear(rows, weight, bias)
    with forbid_host_synchronisation():
        found = linear.linear(rows, weight, bias)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("num_rows", [1, 256, 257])
def test_there_is_memory_behind_the_scales_of_activations(num_rows):
    rows = torch.randn(num_rows, 64)
    found, expected = fp8.quantize_readably(rows), fp8.quantize(rows)
    assert torch.equal(found.scale, expected.scale)
    assert torch.equal(found.data.float(), expected.data.float())
    assert found.scale.is_contiguous()
    assert found.scale.untyped_storage().nbytes() % (256 * 4) == 0


def test_a_row_is_quantized_by_itself():
    rows, weight = random_matrix(5, 64), fp8.quantize(random_matrix(32, 64, seed=1))
    expected = fp8.linear(rows, weight, None)[2]
    rows[[0, 1, 3, 4]] *= 1e6
    torch.testing.assert_close(fp8.linear(rows, weight, None)[2], expected)


@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_fp8", [True, False])
def test_fused_layers_compute_what_each_of_them_does(is_fp8, has_bias):
    modules = [torch.nn.Linear(64, width, bias=has_bias) for width in (64, 32, 32)]
    parent = torch.nn.ModuleDict({str(number): each for number, each in enumerate(modules)})
    if is_fp8:
        for name in parent:
            fp8.replace(parent, name, fp8.quantize(getattr(parent, name).weight.detach()))
    modules = [getattr(parent, name) for name in parent]
    rows = random_matrix(4, 64)
    with torch.no_grad():
        expected = torch.cat([linear.apply_linear(each, rows) for each in modules], dim=-1)
        weight, bias = linear.fuse(modules)
        found = linear.linear(rows, weight, bias)
    torch.testing.assert_close(found, expected)
    data = weight.data if is_fp8 else weight
    starts = [each.weight.data_ptr() - data.data_ptr() for each in modules]
    size = data.element_size()
    assert starts == [0, 64 * 64 * size, 96 * 64 * size], "the modules have views of it"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_only_the_linear_layers_of_the_language_model_are_quantized(source_of, dtype):
    model = checkpoint.load(source_of(dtype=dtype, quantization="fp8")).model
    quantized = {name for name, each in model.named_modules() if isinstance(each, Fp8Linear)}
    expected = {
        f"model.language_model.layers.{layer}.{part}.{name}"
        for layer in range(2)
        for part, names in fp8.FUSED_GROUPS
        for name in names
    }
    assert quantized == expected
    others = {name: each.dtype for name, each in model.named_parameters() if "layers" not in name}
    assert set(others.values()) == {checkpoint.DTYPES[dtype]}


def test_a_quantized_model_answers_much_as_the_unquantized_one(tiny, source_of):
    loaded = checkpoint.load(source_of(quantization="fp8"))
    ids = torch.arange(300, 340)[None]
    with torch.inference_mode():
        exact = tiny.model(input_ids=ids).logits.log_softmax(-1)
        found = loaded.model(input_ids=ids).logits.log_softmax(-1)
    kl = (exact.exp() * (exact - found)).sum(-1)
    # 0.09, and 4.9 to the answer to another prompt: random weights amplify every rounding.
    assert 0 < kl.mean() < 0.2


def test_a_replaced_weight_is_freed():
    memory = np.zeros((64, 64), np.float32)
    freed = weakref.ref(memory)
    parent = torch.nn.ModuleDict({"q_proj": torch.nn.Linear(64, 64)})
    parent["q_proj"].weight.data = torch.from_numpy(memory)
    del memory
    assert freed() is not None
    fp8.quantize_module(parent, "q_proj", "cpu")
    gc.collect()
    assert freed() is None


def test_a_layer_whose_width_a_gpu_cannot_multiply_is_left_as_it_is():
    layer = torch.nn.Module()
    layer.self_attn, layer.mlp = torch.nn.Module(), torch.nn.Module()
    for part, names in fp8.FUSED_GROUPS:
        for name in names:
            width = 24 if name == "k_proj" else 32
            setattr(getattr(layer, part), name, torch.nn.Linear(32, width))
    sizes = []
    fp8.quantize_layers([layer], "cpu", sizes.append)
    attention = [isinstance(each, Fp8Linear) for each in layer.self_attn.children()]
    assert attention == [False, False, False, True], "q, k and v are one product"
    assert sizes == [32 * 32 * 4] * 4


def rounded_down(rows):
    """Quantize to values that are too small."""
    found = fp8.quantize(rows)
    return fp8.Fp8Matrix((found.data.float() * 0.9).to(fp8.DTYPE), found.scale)


def other_scales(rows):
    found = fp8.quantize(rows)
    return fp8.Fp8Matrix(found.data, found.scale * (1 + 1e-6))


def hides_what_is_not_finite(rows):
    return fp8.quantize(rows.nan_to_num())


@pytest.mark.parametrize("kernel", [rounded_down, other_scales, hides_what_is_not_finite])
def test_a_kernel_that_differs_is_not_used(kernel):
    assert not fp8.agrees(kernel, "cpu")


def test_one_that_returns_the_same_is():
    assert fp8.agrees(fp8.quantize, "cpu")
