import contextlib

import httpx2
import pytest
from fakes import pods, processes

from flamingo_pod.model.builtin import tokenizer


@pytest.fixture(scope="session")
def no_spaces():
    """A bias that keeps a model without a mind from filling its JSON with blanks."""
    blanks = tokenizer.build()(" \t\n\r", add_special_tokens=False)["input_ids"]
    return {str(token_id): -100 for token_id in blanks}


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


@pytest.fixture(scope="session")
def fleet(model_cache, tmp_path_factory):
    """A real router before two real pods; yields router and pods."""
    with processes.fleet(tmp_path_factory.mktemp("fleet")) as (router, pods):
        yield router, pods


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """Start a real router before a scripted pod; returns its address."""
    with contextlib.ExitStack() as stack:

        def start(pod):
            address = stack.enter_context(pods.served(pod))
            log = tmp_path_factory.mktemp("router") / "log"
            router = processes.service("flamingo_router", "--endpoint", address, log=log)
            running = stack.enter_context(router)
            processes.wait_until_ready(running)
            return running.address

        yield start
