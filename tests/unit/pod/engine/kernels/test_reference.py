import torch
from torch.nn import functional
from transformers.models.qwen2.modeling_qwen2 import Qwen2RMSNorm, apply_rotary_pos_emb

from flamingo_pod.engine.kernels import reference


def test_the_norm_is_qwen2s(random):
    hidden, delta, weight = random.normal(5, 96), random.normal(5, 96), random.normal(96)
    norm = Qwen2RMSNorm(96, eps=1e-5).to(weight)
    norm.weight.data = weight
    total, normed = reference.add_rms_norm(hidden, delta, weight, 1e-5)
    assert torch.equal(total, hidden + delta)
    torch.testing.assert_close(normed, norm(hidden + delta), rtol=1e-6, atol=1e-6)


def test_the_rotation_is_qwen2s(random):
    qkv, kv = random.normal(3, (4 + 2 * 2) * 16), random.unwritten(2, 3, 2, 16)
    bias, cos, sin = random.normal(8 * 16), random.normal(3, 16), random.normal(3, 16)
    slots = random.integers([0, 1, 2])
    queries = reference.rotate_and_write(qkv, bias, (cos, sin), slots, (kv[0], kv[1]))
    heads = (qkv + bias).view(1, 3, 8, 16).transpose(1, 2)
    expected = apply_rotary_pos_emb(heads[:, :4], heads[:, 4:6], cos[None], sin[None])
    for result, value in zip((queries, kv[0], kv[1]), (*expected, heads[:, 6:]), strict=True):
        assert torch.equal(result, value[0].transpose(0, 1))


def test_attention_is_torchs(random, check_close):
    queries, kv = random.normal(1, 6, 16), random.normal(2, 20, 2, 16)
    runs = random.integers([(12, 5, 0, 7)])
    slots = [*range(12, 17), *range(7)]
    keys, values = (each[slots].transpose(0, 1)[None] for each in kv)
    expected = functional.scaled_dot_product_attention(
        queries[:, :, None], keys, values, scale=0.3, enable_gqa=True
    )
    result = reference.decode_attention(queries, (kv[0], kv[1]), runs, 0.3)
    check_close(result, expected[:, :, 0])


def test_the_activation_is_torchs(random, check_rounding):
    gate, up = random.normal(3, 40), random.normal(3, 40)
    result = reference.silu_mul(torch.cat([gate, up], dim=1))
    check_rounding(result, functional.silu(gate) * up)
