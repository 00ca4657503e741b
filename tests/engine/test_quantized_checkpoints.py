"""Checkpoints published in FP8 are loaded as they are."""

import json

import pytest
import torch
from fakes import quantized_checkpoints
from fakes.quantized_checkpoints import LAYOUTS, by_channel

from flamingo_pod.model import checkpoint, fp8
from flamingo_pod.model.builtin import build
from flamingo_pod.model.fp8 import Fp8Linear
from flamingo_pod.model.quantized_weights import PublishedWeight
from flamingo_pod.weights import folder
from flamingo_pod.weights.errors import ModelLoadFailed

PROJECTIONS = [f"{part}.{name}" for part, names in fp8.FUSED_GROUPS for name in names]


@pytest.fixture
def original(model_cache):
    return build.ensure_built("flamingo-tiny", model_cache)


def names_in_file(layer, projection):
    return f"language_model.model.layers.{layer}.{projection}.weight"


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_every_published_layout_is_loaded(source_of, original, tmp_path, layout):
    written = quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    loaded = checkpoint.load(source_of(id=str(tmp_path / "fp8")))
    for number, layer in enumerate(loaded.model.model.language_model.layers):
        for projection in PROJECTIONS:
            module = layer.get_submodule(projection)
            assert isinstance(module, Fp8Linear)
            name = names_in_file(number, projection)
            expected = quantized_checkpoints.dequantized(written, name, layout)
            found = fp8.dequantize(module.matrix)
            if layout.is_exact:
                assert torch.equal(found, expected)
                assert torch.equal(module.weight.view(torch.uint8), written[name].view(torch.uint8))
            else:
                allowed = (expected.abs() * 2**-4).maximum(module.weight_scale * 2**-10)
                assert ((found - expected).abs() <= allowed * (1 + 1e-6)).all()


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_the_rest_of_the_model_is_as_in_the_files(source_of, original, tmp_path, layout):
    written = quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    loaded = checkpoint.load(source_of(id=str(tmp_path / "fp8")))
    model = loaded.model
    query = "audio_tower.layers.1.self_attn.q_proj.weight"
    expected = written[query]
    if layout.quantizes_encoder:
        expected = quantized_checkpoints.dequantized(written, query, layout)
    assert torch.equal(model.model.audio_tower.layers[1].self_attn.q_proj.weight, expected)
    assert torch.equal(model.lm_head.weight, written["language_model.lm_head.weight"])
    bias = written["language_model.model.layers.1.self_attn.k_proj.bias"]
    assert torch.equal(model.model.language_model.layers[1].self_attn.k_proj.bias, bias)
    assert model.model.pos_emb.inv_freq.dtype == torch.float32
    assert loaded.limits == checkpoint.load(source_of(id=str(original))).limits


def test_it_computes_what_the_same_weights_quantized_here_do(source_of, original, tmp_path):
    quantized_checkpoints.write(
        original, tmp_path / "fp8", LAYOUTS["compressed-tensors FP8_DYNAMIC"]
    )
    published = checkpoint.load(source_of(id=str(tmp_path / "fp8"))).model
    ours = checkpoint.load(source_of(quantization="fp8")).model
    ids = torch.arange(300, 340)[None]
    with torch.inference_mode():
        assert torch.equal(published(input_ids=ids).logits, ours(input_ids=ids).logits)


def test_a_layer_that_is_partly_quantized_is_dequantized(source_of, original, tmp_path):
    layout = LAYOUTS["compressed-tensors FP8_DYNAMIC"]
    written = quantized_checkpoints.write(
        original, tmp_path / "fp8", layout, skip=["0.self_attn.k_proj.weight"]
    )
    model = checkpoint.load(source_of(id=str(tmp_path / "fp8"))).model
    first, second = model.model.language_model.layers
    assert not isinstance(first.self_attn.q_proj, Fp8Linear)
    name = names_in_file(0, "self_attn.q_proj")
    expected = quantized_checkpoints.dequantized(written, name, layout)
    assert torch.equal(first.self_attn.q_proj.weight, expected)
    assert isinstance(first.mlp.up_proj, Fp8Linear)
    assert isinstance(second.self_attn.q_proj, Fp8Linear)


def test_a_weight_without_a_scale_is_refused(source_of, original, tmp_path):
    layout = quantized_checkpoints.Layout(
        {"quant_method": "fp8"}, by_channel, scale_suffix="qscale_weight"
    )
    quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    with pytest.raises(ModelLoadFailed, match=r"the FP8 weight .* has no scale"):
        checkpoint.load(source_of(id=str(tmp_path / "fp8")))


def first_scale(written):
    return next(name for name in sorted(written) if name.endswith(".weight_scale"))


def transposed(written):
    written[name] = written[name := first_scale(written)].t().contiguous()


def halved(written):
    written[name] = written[name := first_scale(written)][::2].contiguous()


def emptied(written):
    written[first_scale(written)] = torch.zeros(0)


def infinite(written):
    written[first_scale(written)][0] = torch.inf


def of_another_type(written):
    name = first_scale(written).removesuffix("_scale")
    written[name] = written[name].float().to(torch.float8_e5m2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            transposed,
            r"weight_scale has the shape \[1, 64\], but one number, 64 for the outputs or",
        ),
        (halved, r"weight_scale has the shape \[32, 1\], but"),
        (emptied, r"weight_scale has the shape \[0\], but"),
        (infinite, "weight_scale is not finite"),
        (of_another_type, "has a scale, but the type torch.float8_e5m2, and only"),
    ],
)
def test_a_scale_that_does_not_fit_its_weight_is_refused(
    source_of, original, tmp_path, change, message
):
    layout = LAYOUTS["compressed-tensors FP8_DYNAMIC"]
    written = quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    change(written)
    quantized_checkpoints.save_file(
        written, tmp_path / "fp8" / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(ModelLoadFailed, match=message):
        checkpoint.load(source_of(id=str(tmp_path / "fp8")))


def test_a_missing_weight_is_refused(source_of, original, tmp_path):
    layout = LAYOUTS["fbgemm_fp8"]
    written = quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    del written["language_model.model.norm.weight"]
    quantized_checkpoints.save_file(
        written, tmp_path / "fp8" / "model.safetensors", metadata={"format": "pt"}
    )
    with pytest.raises(ModelLoadFailed, match=r"1 weights are missing, such as .*norm"):
        checkpoint.load(source_of(id=str(tmp_path / "fp8")))


def test_an_unsupported_layout_is_refused_by_its_name(source_of, original, tmp_path):
    layout = quantized_checkpoints.Layout({"quant_method": "awq", "bits": 4}, by_channel)
    quantized_checkpoints.write(original, tmp_path / "awq", layout)
    with pytest.raises(ModelLoadFailed, match="quantized by awq; supported are FP8"):
        checkpoint.load(source_of(id=str(tmp_path / "awq")))


def test_the_memory_of_the_loaded_weights_is_known_from_the_headers(source_of, original, tmp_path):
    layout = LAYOUTS["compressed-tensors FP8"]
    quantized_checkpoints.write(original, tmp_path / "fp8", layout)
    contents = folder.read_contents(tmp_path / "fp8")
    before = folder.read_contents(original)
    assert contents.is_quantized
    assert not before.is_quantized
    assert contents.num_parameters == before.num_parameters, "scales are not parameters"
    model = checkpoint.load(source_of(id=str(tmp_path / "fp8"), dtype="bfloat16")).model
    sizes = [each.numel() * each.element_size() for each in model.parameters()]
    assert contents.loaded_bytes(2) == sum(sizes)


def test_the_last_blocks_may_be_smaller():
    torch.manual_seed(0)
    weight = torch.randn(40, 56)
    data, scale = quantized_checkpoints.by_block(16, 32)(weight)
    assert scale.shape == (3, 2)
    found = PublishedWeight(data, scale, (16, 32)).dequantize()
    assert ((found - weight).abs() <= (weight.abs() * 2**-4).maximum(scale.max() * 2**-10)).all()


def test_older_checkpoints_of_compressed_tensors_name_their_section_otherwise(
    source_of, original, tmp_path
):
    place = tmp_path / "fp8"
    quantized_checkpoints.write(original, place, LAYOUTS["compressed-tensors FP8_DYNAMIC"])
    config = json.loads((place / "config.json").read_text())
    config["compression_config"] = config.pop("quantization_config")
    (place / "config.json").write_text(json.dumps(config))
    model = checkpoint.load(source_of(id=str(place))).model
    assert isinstance(model.model.language_model.layers[0].mlp.up_proj, Fp8Linear)
