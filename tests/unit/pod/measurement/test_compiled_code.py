"""Where compiled code is kept: a folder of the pod, wherever librosa's own cannot be written."""

import importlib.util
from pathlib import Path

from flamingo_pod.measurement import compiled_code


def test_a_folder_of_the_user_is_left_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert compiled_code.create_folder() is None


def test_what_numba_reads_is_set_unless_it_is_set():
    environ = {}
    compiled_code.set_variables(environ, "/folder")
    assert environ == {"NUMBA_CPU_NAME": "generic", "NUMBA_CACHE_DIR": "/folder"}
    environ = {"NUMBA_CPU_NAME": "host"}
    compiled_code.set_variables(environ, None)
    assert environ == {"NUMBA_CPU_NAME": "host"}


def test_the_image_has_its_code_beside_its_packages():
    assert compiled_code.IN_IMAGE.parts[-3:] == ("share", "flamingo", "numba")
    assert isinstance(importlib.util.find_spec("numpy").origin, str)
    assert Path(compiled_code.IN_IMAGE).is_absolute()
