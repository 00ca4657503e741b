"""The bundled clip, and the program in its README that makes it."""

import io
from importlib import resources

import numpy as np
import soundfile
from documents.selections import CLIPS as PROGRAMS

CLIPS = resources.files("flamingo_common") / "clips"


def test_bundled_clip_is_eight_seconds_of_stereo_that_is_not_silence():
    raw = (CLIPS / "clip.mp3").read_bytes()
    samples, rate_hz = soundfile.read(io.BytesIO(raw))

    assert len(raw) <= 60 * 1024
    assert (rate_hz, samples.shape[1]) == (44_100, 2)
    assert 8 <= len(samples) / rate_hz <= 9
    assert 0.05 < np.sqrt(np.mean(samples**2)) < 0.3
    assert 0.3 < np.abs(samples).max() < 1


def test_readme_makes_the_bundled_clip(tmp_path, monkeypatch):
    (program,) = (one.text for one in PROGRAMS.commands())
    monkeypatch.chdir(tmp_path)

    exec(compile(program, "README.md", "exec"), {})  # noqa: S102 - our own README

    made, _ = soundfile.read(tmp_path / "clip.mp3")
    bundled, _ = soundfile.read(io.BytesIO((CLIPS / "clip.mp3").read_bytes()))
    num_samples = min(len(made), len(bundled))  # encoders differ in padding
    pair = np.corrcoef(made[:num_samples, 0], bundled[:num_samples, 0])
    assert pair[0, 1] > 0.99
