"""What several folders share: the clips, and where built-in models are built."""

import os
import shutil
from pathlib import Path

import pytest
from fakes.effort import examples
from fakes.wanted import absent
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# Before anything imports Triton: where no NVIDIA driver is, its kernels run in its interpreter.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# How long something takes is measured where it is the point; a busy machine proves nothing.
settings.register_profile("patient", deadline=None, max_examples=examples(100))
settings.load_profile("patient")

HERE = Path(__file__).parent
CLIPS = HERE / "clips"
TIMEOUTS_S = {"charts": 900, "cluster": 1800, "control_plane": 900}
"""Whole clusters are built and started inside a test's setup; for all others see pyproject.toml."""


def pytest_collection_modifyitems(items):
    for item in items:
        folder = item.path.relative_to(HERE).parts[0]
        if folder in TIMEOUTS_S:
            item.add_marker(pytest.mark.timeout(TIMEOUTS_S[folder]))


def pytest_xdist_make_scheduler(config, log):
    """With --dist loadscope, let processes share out files, and folders that have one cluster."""
    return SharedScheduling(config, log) if config.getvalue("dist") == "loadscope" else None


USERS_OF_THE_DEFAULT_PORT = {"test_doctor.py", "test_documented_services.py", "test_up.py"}
"""The doctor asks what answers there, and a fleet that is starting would be a problem."""


class SharedScheduling(LoadScopeScheduling):
    """Runs tests that share something in one process. loadgroup does not work with pytest 9.2."""

    def _split_scope(self, nodeid):
        path = Path(nodeid.partition("::")[0])
        if path.name in USERS_OF_THE_DEFAULT_PORT:
            return "the default port"
        # The clients under test share the environments that they are installed into.
        is_shared = path.parts[1] in TIMEOUTS_S or path.parent.name == "clients"
        return str(path.parent if is_shared else path)


@pytest.fixture(scope="session", autouse=True)
def model_cache(tmp_path_factory):
    """Build the built-in models once a run, away from the user's cache."""
    folder = tmp_path_factory.mktemp("models")
    os.environ["FLAMINGO_CACHE"] = str(folder)
    return folder


@pytest.fixture(scope="session")
def clips():
    return {path.name: path.read_bytes() for path in CLIPS.iterdir() if path.suffix != ".py"}


@pytest.fixture(scope="session")
def needs():
    """Return the path of a program, looked for where administrators keep theirs too."""

    def find(program, *, install=None):
        path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
        return shutil.which(program, path=path) or absent(
            program, install or f"Debian: apt install {program}"
        )

    return find
