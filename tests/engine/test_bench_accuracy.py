"""`flamingo bench accuracy`: FP8 and lower precisions beside a reference."""

import json
import subprocess
import sys

import pytest
import torch

from flamingo_pod.audio import sound_file
from flamingo_pod.bench import accuracy, synthetic_audio, teacher_forcing


def run(*options):
    command = [sys.executable, "-P", "-m", "flamingo_pod.bench", "accuracy", *options]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def rows_of(output):
    lines = [line for line in output.splitlines() if line.startswith("| ")][2:]
    return {cells[1].strip(): cells for line in lines if (cells := line.split("|"))}


def test_it_compares_each_precision_with_the_reference(tmp_path, model_cache):
    audio, out = tmp_path / "song.flac", tmp_path / "accuracy.json"
    samples = synthetic_audio.make_clip(2.0, seed=3)
    audio.write_bytes(sound_file.encode_file(samples[None], 16_000, "flac"))
    candidates = "float32,bfloat16,float32+fp8"
    options = ["--audio", str(audio), "--tokens", "6", "--candidates", candidates]
    done = run(*options, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert list(rows_of(done.stdout)) == candidates.split(",")
    report = json.loads(out.read_text())
    exact, rounded, quantized = (report["summaries"][name] for name in candidates.split(","))
    num_tokens = exact["num_tokens"]
    assert exact["num_answers"] == 1
    assert 0 < num_tokens <= 6
    assert exact["kl_max"] == 0, "the reference itself"
    assert (exact["same_top_share"], exact["equal_share"], exact["num_identical"]) == (1, 1, 1)
    assert 0 < rounded["kl_mean"] < quantized["kl_mean"]
    assert len(report["answers"]["bfloat16"][0]["kl"]) == num_tokens
    assert "flamingo-tiny in float32" in done.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--candidates", "int3"], "'int3' is not one of float32, bfloat16, float16"),
        (["--audio", "/no/such.mp3"], "the file /no/such.mp3 does not exist"),
        (["--clips", "0"], "--clips and --tokens must be at least 1"),
        (["--out", "/nowhere/a.json"], "--out: the folder /nowhere does not exist"),
        pytest.param(
            ["--device", "cuda"],
            "--device cuda: torch finds no GPU here",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_a_wrong_option_is_refused(options, message, capsys):
    with pytest.raises(SystemExit) as ended:
        accuracy.main(options)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_audio_is_reported_by_name(tmp_path, capsys):
    (tmp_path / "song.mp3").write_text("hello")
    assert accuracy.main(["--audio", str(tmp_path / "song.mp3")]) == 1
    assert f"--audio: {tmp_path}/song.mp3: unsupported audio format" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_reported():
    done = run("--model", "no/such/model/at/all")
    assert done.returncode == 1
    assert "flamingo bench accuracy: model 'no/such/model/at/all'" in done.stderr


def test_a_greedy_answer_is_what_the_model_finds_most_likely(tiny):
    samples = synthetic_audio.make_clip(1.0, seed=1)
    inputs = teacher_forcing.make_inputs(tiny, samples, "What is the tempo?")
    answer = teacher_forcing.greedy_answer(tiny, inputs, 8)
    predicted = teacher_forcing.log_probabilities(tiny, inputs, answer)
    assert predicted.shape == (len(answer), tiny.model.config.text_config.vocab_size)
    assert tuple(predicted.argmax(-1).tolist()) == answer


def test_the_divergence_is_that_of_torch():
    torch.manual_seed(0)
    reference, found = torch.randn(2, 4, 50).log_softmax(-1)
    compared = teacher_forcing.compare(reference, found, (1, 2, 3, 4), (1, 2, 3, 4))
    expected = torch.nn.functional.kl_div(found, reference, reduction="none", log_target=True)
    torch.testing.assert_close(torch.tensor(compared.kl), expected.sum(-1))
    assert compared.is_same_top == tuple((reference.argmax(-1) == found.argmax(-1)).tolist())
