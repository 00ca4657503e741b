"""What `import flamingo` offers."""

import subprocess
import sys

import pytest

import flamingo


def test_public_names_are_sorted_and_there():
    assert flamingo.__all__ == sorted(flamingo.__all__)
    assert all(hasattr(flamingo, name) for name in flamingo.__all__)


def test_every_public_name_is_documented():
    for name in flamingo.__all__:
        assert getattr(flamingo, name).__doc__, name


def test_another_name_is_refused_as_of_any_module():
    with pytest.raises(AttributeError, match="module 'flamingo' has no attribute 'Flamingo'"):
        flamingo.Flamingo  # noqa: B018 - looking is the test
    assert dir(flamingo) == flamingo.__all__


def test_import_is_light():
    program = (
        "import sys, flamingo\n"
        "heavy = ('numpy', 'torch', 'transformers', 'typer', 'rich', 'soundfile', 'av', 'soxr')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )

    told = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )

    assert (told.stdout, told.stderr) == ("[]\n", "")
