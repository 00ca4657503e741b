"""What is loaded, what is refused, and what the built-in models are."""

import hashlib
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import MusicFlamingoConfig

from flamingo_common.wire.requests import CaptionRequest
from flamingo_pod.api.generation import generation
from flamingo_pod.model import checkpoint
from flamingo_pod.model.builtin import build, tokenizer
from flamingo_pod.model.builtin.sizes import BUILTIN_MODELS


def fingerprint(folder):
    digest = hashlib.sha256()
    for name, tensor in sorted(load_file(folder / "model.safetensors").items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "expected", "millions"),
    [("flamingo-tiny", "1105da66b9b6c7c1", 0.41), ("flamingo-tiny-27m", "ae4478254c577efe", 27.8)],
)
def test_a_built_in_model_has_the_same_bits_everywhere(model_cache, name, expected, millions):
    folder = build.ensure_built(name, model_cache)
    assert fingerprint(folder) == expected
    count = sum(tensor.numel() for tensor in load_file(folder / "model.safetensors").values())
    assert count / 1e6 == pytest.approx(millions, rel=0.02)


def test_processes_that_build_at_once_agree_on_one_folder(tmp_path):
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: build.ensure_built("flamingo-tiny", tmp_path), range(4)))
    assert len(folders) == 1
    assert [path.name for path in tmp_path.iterdir()] == [folders.pop().name]


def test_the_shipped_merges_are_what_training_gives():
    shipped = (tokenizer.FOLDER / "merges.txt").read_text(encoding="utf-8").splitlines()
    assert tokenizer.train() == shipped
    assert len(tokenizer.build()) == tokenizer.VOCABULARY_SIZE


def test_the_tiny_model_is_of_the_published_kind(tiny):
    ours, theirs = tiny.model.config, MusicFlamingoConfig()
    assert type(tiny.model).__name__ == "MusicFlamingoForConditionalGeneration"
    assert ours.audio_config.num_mel_bins == theirs.audio_config.num_mel_bins == 128
    assert ours.rope_parameters == theirs.rope_parameters
    assert ours.audio_frame_step == theirs.audio_frame_step
    assert ours.text_config.use_cache is False, "as the published checkpoints have it"


def test_widths_are_read_from_the_configuration(tiny):
    assert tiny.limits.dims == {"encoder": 64, "projector": 64}
    published = MusicFlamingoConfig()
    assert published.audio_config.hidden_size == 1280, "not 1536, whatever has been written"


def test_half_precision_keeps_the_time_embedding_in_float32(source_of):
    loaded = checkpoint.load(source_of(dtype="bfloat16"))
    assert loaded.model.lm_head.weight.dtype == torch.bfloat16
    assert loaded.model.model.pos_emb.inv_freq.dtype == torch.float32
    assert loaded.model.model.pos_emb.position_angles.dtype == torch.float32


def test_a_model_that_was_cast_as_a_whole_is_rejected(source_of):
    loaded = checkpoint.load(source_of())
    cast = loaded.model.to(torch.bfloat16)
    with pytest.raises(checkpoint.ModelLoadFailed, match="rotary time embedding is not float32"):
        checkpoint._check(cast, loaded.processor)


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        pytest.param("no/such/model/at/all", "not a built-in model", id="no hub id"),
        pytest.param("/no/such/folder", "not a built-in model", id="no folder"),
    ],
)
def test_an_unknown_model_is_rejected_with_the_built_in_names(
    source_of, monkeypatch, model_id, message
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(checkpoint.ModelLoadFailed, match=message) as caught:
        checkpoint.load(source_of(id=model_id))
    assert "flamingo-tiny" in str(caught.value)


def test_a_checkpoint_of_another_architecture_is_rejected(source_of, tmp_path, model_cache):
    folder = shutil.copytree(build.ensure_built("flamingo-tiny", model_cache), tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "whisper"}))
    with pytest.raises(
        checkpoint.ModelLoadFailed, match="the unsupported type 'whisper'; supported:"
    ):
        checkpoint.load(source_of(id=str(folder)))


def test_a_checkpoints_repetition_penalty_is_the_default(source_of, tmp_path, model_cache):
    folder = shutil.copytree(build.ensure_built("flamingo-tiny", model_cache), tmp_path / "other")
    file = folder / "generation_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"repetition_penalty": 1.3}))
    limits = checkpoint.load(source_of(id=str(folder))).limits
    assert limits.default_repetition_penalty == 1.3
    ours = generation._params(limits, CaptionRequest(audio={"data": ""}), 8)
    assert (ours.repetition_penalty, ours.temperature) == (1.3, 0.0)
    asked = CaptionRequest(audio={"data": ""}, repetition_penalty=1.0)
    assert generation._params(limits, asked, 8).repetition_penalty == 1.0


def test_a_checkpoint_without_a_repetition_penalty_has_none(tiny):
    assert tiny.limits.default_repetition_penalty == 1.0


def test_a_local_folder_is_a_checkpoint(source_of, model_cache):
    folder = build.ensure_built("flamingo-tiny", model_cache)
    loaded = checkpoint.load(source_of(id=str(folder)))
    assert not loaded.random_weights, "only the built-in name message so"


@pytest.mark.parametrize("name", BUILTIN_MODELS)
def test_a_full_disk_or_closed_folder_is_an_error_not_a_loop(name):
    with pytest.raises(FileNotFoundError):
        build.ensure_built(name, build.Path("/proc/nowhere"))


def own_memory_bytes():
    """Return what this process alone holds; pages of a mapped file are not among it."""
    (line,) = [
        line
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        if line.startswith("RssAnon:")
    ]
    return int(line.split()[1]) * 1024


def test_weights_in_their_files_dtype_are_mapped_not_copied(source_of, model_cache):
    folder = build.ensure_built("flamingo-tiny-27m", model_cache)
    size = (folder / "model.safetensors").stat().st_size
    before = own_memory_bytes()
    loaded = checkpoint.load(source_of(id=str(folder)))
    assert own_memory_bytes() - before < size / 4
    assert loaded.commit is None, "no hub had a part in it"
