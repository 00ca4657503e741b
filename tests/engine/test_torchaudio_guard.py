"""A torchaudio that is installed and cannot be imported: beside a CPU torch, all are so."""

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
from flamingo_pod.model import checkpoint
from transformers import MusicFlamingoProcessor, WhisperFeatureExtractor
from transformers.utils import is_torchaudio_available
print(MusicFlamingoProcessor.__name__, is_torchaudio_available(), sys.modules.get("torchaudio"))
"""


def run(folder, program=PROGRAM):
    paths = [str(folder), *sys.path]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def installed(tmp_path):
    """Return a function that installs a torchaudio of these words into a folder."""

    def install(words):
        (tmp_path / "torchaudio").mkdir()
        (tmp_path / "torchaudio" / "__init__.py").write_text(words)
        metadata = tmp_path / "torchaudio-2.11.0.dist-info"
        metadata.mkdir()
        named = "Metadata-Version: 2.1\nName: torchaudio\nVersion: 2.11.0\n"
        (metadata / "METADATA").write_text(named)
        return tmp_path

    return install


@pytest.mark.parametrize(
    "fault",
    [
        "OSError('libc10_cuda.so: cannot open shared object file')",
        "RuntimeError('torchaudio was compiled with another CUDA version')",
        "ImportError('undefined symbol')",
    ],
)
def test_a_broken_torchaudio_is_hidden_from_transformers_and_logged_once(installed, fault):
    done = run(installed(f"raise {fault}\n"))
    assert done.stdout == "MusicFlamingoProcessor False None\n", done.stderr
    assert done.stderr.count("ignoring it") == 1


def test_without_the_guard_it_takes_transformers_with_it(installed):
    folder = installed("raise OSError('libc10_cuda.so: cannot open shared object file')\n")
    done = run(folder, "from transformers import MusicFlamingoProcessor")
    assert done.returncode != 0
    assert "libc10_cuda" in done.stderr


SPECTRUM = """
import torch
from flamingo_pod.model import spectrum
found = [spectrum.find_torchaudio(torch.device(name)) for name in ("cuda", "cpu")]
print([getattr(each, "__name__", None) for each in found])
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        pytest.param("", "['torchaudio', None]", id="working"),
        pytest.param("raise OSError('libc10_cuda.so')\n", "[None, None]", id="broken"),
    ],
)
def test_a_gpus_spectrum_is_torchaudios_where_it_can_be_imported(installed, words, found):
    assert run(installed(words), SPECTRUM).stdout == found + "\n"
