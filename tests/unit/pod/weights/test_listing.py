"""Which files of a repository are downloaded, and which configurations are rejected."""

import pytest

from flamingo_pod.weights import listing
from flamingo_pod.weights.errors import ModelLoadFailed
from flamingo_pod.weights.listing import RemoteFile


def names(*files):
    found = listing.files_to_download([RemoteFile(name, 1) for name in files], model_id="m")
    return [file.name for file in found]


def test_only_needed_files_are_downloaded_and_the_weights_last():
    assert names(
        "model-00002-of-00002.safetensors",
        "pytorch_model.bin",
        "config.json",
        "model.py",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "onnx/model.onnx",
        "tokenizer.json",
    ) == [
        "config.json",
        "tokenizer.json",
        "model.safetensors.index.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]


def test_pickled_weights_are_rejected():
    with pytest.raises(ModelLoadFailed, match="no safetensors"):
        names("config.json", "pytorch_model.bin")


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"text_config": {"auto_map": {"AutoModel": "x--y.Z"}}},
        {"_attn_implementation_internal": "evil/kernel"},
        {"audio_config": {"_attn_implementation": "evil/kernel@main"}},
        {"experts_implementation": "evil/kernel"},
    ],
    ids=str,
)
def test_cve_2026_4372_a_configuration_that_names_code_is_rejected(config):
    with pytest.raises(ModelLoadFailed, match="names code to run"):
        listing.check_runs_no_code(config, file="config.json")


def test_an_ordinary_configuration_is_accepted():
    listing.check_runs_no_code(
        {"auto_map": None, "_attn_implementation": "sdpa", "text_config": {"a": 1}}, file="c"
    )
