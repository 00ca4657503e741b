import httpx2
import pytest
from fakes import processes


@pytest.fixture(scope="session")
def pod(model_cache, tmp_path_factory):
    """A real pod with the tiny model, as its own process."""
    log = tmp_path_factory.mktemp("pod") / "log"
    flags = ("--model", "flamingo-tiny", "--max-body-bytes", "3000000", "--max-audio-s", "90")
    with processes.service("flamingo_pod", *flags, log=log) as running:
        processes.wait_until_ready(running)
        yield running


@pytest.fixture
def http(pod):
    with httpx2.Client(base_url=pod.address, timeout=60) as client:
        yield client
