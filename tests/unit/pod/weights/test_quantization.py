"""Which quantized checkpoints can be loaded."""

import pytest
from fakes import quantized_checkpoints
from fakes.quantized_checkpoints import LAYOUTS

from flamingo_pod.weights import quantization
from flamingo_pod.weights.errors import ModelLoadFailed


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_fp8_layouts_are_supported(layout):
    quantization.check_config({"quantization_config": layout.config})


@pytest.mark.parametrize("config", [{}, {"quantization_config": None}])
def test_so_is_a_checkpoint_without_quantization(config):
    quantization.check_config(config)


def compressed(**changes):
    return quantized_checkpoints.compressed("channel") | changes


def weights(**changes):
    section = quantized_checkpoints.compressed("channel")
    section["config_groups"]["group_0"]["weights"] |= changes
    return section


UNSUPPORTED = [
    ({"quant_method": "awq", "bits": 4}, "by awq;"),
    ({"quant_method": "gptq"}, "by gptq;"),
    ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "by bitsandbytes;"),
    ({"bits": 4}, "by an unnamed method;"),
    ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "by modelopt as NVFP4;"),
    ({"quant_method": "modelopt", "quant_algo": "MXFP8"}, "by modelopt as MXFP8;"),
    ({"quant_method": "fp8", "scale_fmt": "ue8m0"}, "with scales of the format ue8m0;"),
    (compressed(format="nvfp4-pack-quantized"), "in the format nvfp4-pack-quantized;"),
    (weights(num_bits=4), "to 4 bits float;"),
    (weights(type="int"), "to 8 bits int;"),
    (weights(strategy="group"), "with scales per group;"),
    (compressed(sparsity_config={"format": "sparse-24-bitmask"}), "and sparse, in the format"),
]


@pytest.mark.parametrize(("section", "named"), UNSUPPORTED)
def test_another_one_is_refused_by_its_name_with_what_to_do(section, named):
    with pytest.raises(ModelLoadFailed, match=named) as refused:
        quantization.check_config({"quantization_config": section})
    assert "supported are FP8 weights (float8_e4m3fn) of compressed-tensors" in str(refused.value)
    assert "with or without --quantization fp8" in str(refused.value)


def test_a_group_may_have_a_format_of_its_own():
    section = quantized_checkpoints.compressed("channel")
    section["config_groups"]["group_1"] = {"format": "pack-quantized", "weights": {"num_bits": 4}}
    with pytest.raises(ModelLoadFailed, match="in the format pack-quantized"):
        quantization.check_config({"quantization_config": section})


@pytest.mark.parametrize(
    ("config", "block"),
    [
        ({}, (128, 128)),
        ({"quantization_config": {"quant_method": "fp8"}}, (128, 128)),
        ({"quantization_config": {"weight_block_size": [64, 32]}}, (64, 32)),
        ({"quantization_config": weights(block_structure=[16, 128])}, (16, 128)),
        ({"compression_config": weights(block_structure=None)}, (128, 128)),
    ],
)
def test_the_size_of_blocks_is_the_configurations(config, block):
    assert quantization.block_shape(config) == block


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("language_model.model.layers.3.mlp.up_proj.weight", (3, "mlp.up_proj")),
        ("model.language_model.layers.27.self_attn.q_proj.weight", (27, "self_attn.q_proj")),
        ("language_model.model.layers.3.mlp.up_proj.bias", None),
        ("language_model.model.layers.3.mlp.up_proj.weight_scale", None),
        ("language_model.model.layers.3.input_layernorm.weight", None),
        ("language_model.lm_head.weight", None),
        ("audio_tower.layers.3.self_attn.q_proj.weight", None),
    ],
)
def test_the_projections_of_the_language_model_are_found_by_name(name, found):
    assert quantization.decoder_projection(name) == found


def test_a_scale_has_either_of_two_names():
    assert quantization.scale_name("a.weight", {"a.weight", "a.weight_scale"}) == "a.weight_scale"
    names = {"a.weight", "a.weight_scale_inv", "b.weight_scale"}
    assert quantization.scale_name("a.weight", names) == "a.weight_scale_inv"
    with pytest.raises(ModelLoadFailed, match=r"the FP8 weight c\.weight has no scale"):
        quantization.scale_name("c.weight", names)


@pytest.mark.parametrize(
    "name", ["a.weight_scale", "a.weight_scale_inv", "a.input_scale", "self_attn.k_scale"]
)
def test_scales_are_not_parameters(name):
    assert quantization.is_scale(name)


@pytest.mark.parametrize("name", ["a.weight", "a.bias", "a.scale.weight"])
def test_parameters_are_not_scales(name):
    assert not quantization.is_scale(name)
