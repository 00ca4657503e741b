import pytest
import torch

from flamingo_pod.engine.kernels import reference
from flamingo_pod.engine.kernels.norm import add_rms_norm, add_rms_norm_fp8
from flamingo_pod.model import fp8

SHAPES = [(1, 64), (3, 100), (2, 3584), (65, 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_sum_and_norm_are_those_of_the_reference(random, check_rounding, shape):
    hidden, delta, weight = random.strided(*shape), random.strided(*shape), random.normal(shape[1])
    results = add_rms_norm(hidden, delta, weight, 1e-6)
    expected = reference.add_rms_norm(hidden, delta, weight, 1e-6)
    for result, value in zip(results, expected, strict=True):
        check_rounding(result, value)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_first_norm_has_nothing_to_add(random, check_rounding, shape):
    hidden, weight = random.strided(*shape), random.normal(shape[1])
    total, normed = add_rms_norm(hidden, None, weight, 1e-6)
    assert total is hidden
    check_rounding(normed, reference.add_rms_norm(hidden, None, weight, 1e-6)[1])


def test_the_inputs_stay_as_they_are(random):
    hidden, delta = random.normal(2, 64), random.normal(2, 64)
    before = hidden.clone(), delta.clone()
    add_rms_norm(hidden, delta, random.normal(64), 1e-6)
    assert torch.equal(hidden, before[0])
    assert torch.equal(delta, before[1])


def test_a_row_of_zeros_is_zero_and_not_nan(random):
    zeros = torch.zeros_like(random.normal(2, 48))
    total, normed = add_rms_norm(zeros, zeros, random.normal(48), 1e-6)
    assert not total.any()
    assert not normed.any()


def test_epsilon_counts(random, check_close):
    hidden, weight = random.normal(2, 32) * 1e-3, random.normal(32)
    _, normed = add_rms_norm(hidden, None, weight, 1e-2)
    check_close(normed, reference.add_rms_norm(hidden, None, weight, 1e-2)[1])
    assert normed.abs().max() < 0.1  # it would be about 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_delta", [True, False])
def test_in_fp8_it_is_the_norm_quantized(random, shape, has_delta):
    hidden, weight = random.strided(*shape), random.normal(shape[1])
    delta = random.strided(*shape) if has_delta else None
    total, found = add_rms_norm_fp8(hidden, delta, weight, 1e-6)
    same_total, normed = add_rms_norm(hidden, delta, weight, 1e-6)
    expected = fp8.quantize(normed)
    assert torch.equal(total, same_total)
    assert torch.equal(found.scale, expected.scale)
    assert torch.equal(found.data.float(), expected.data.float())


def test_a_row_that_is_not_finite_gets_a_scale_of_nan_and_the_others_do_not(random):
    hidden, weight = random.normal(3, 64), random.normal(64)
    hidden[1, 5] = torch.nan
    scale = add_rms_norm_fp8(hidden, None, weight, 1e-6)[1].scale
    assert scale.isnan().flatten().tolist() == [False, True, False]
