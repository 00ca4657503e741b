"""Through the router, files and batches are those of the service behind it."""

import contextlib

import httpx2
import openai
import pytest
from fakes import pods, processes
from fakes.batch_service import assert_exact, create, question, wait
from fakes.patience import PATIENCE_S

LARGE = b"0123456789abcdef" * 6000
"""More than what the router keeps of a request's head."""


@pytest.fixture
def router(tmp_path):
    """Start a router before a scripted pod, with these flags; returns its address."""
    with contextlib.ExitStack() as stack:
        pod = stack.enter_context(pods.served(pods.FakePod()))

        def start(*flags):
            log = tmp_path / "router"
            service = processes.service("flamingo_router", "--endpoint", pod, *flags, log=log)
            running = stack.enter_context(service)
            processes.wait_until_ready(running)
            return running.address

        yield start


def test_a_batch_and_its_files_pass_through_the_router(shared, client, router):
    service, _ = shared
    address = router("--batches-url", service.running.address)
    through = client.with_options(base_url=f"{address}/v1")
    clip = through.files.create(file=("a.wav", LARGE), purpose="user_data")
    assert through.files.content(clip.id).read() == LARGE
    lines = [question(number) for number in range(5)]
    created = create(through, lines)
    assert_exact(through, wait(through, created.id), lines)
    assert through.files.delete(clip.id).deleted
    with pytest.raises(openai.NotFoundError, match="does not exist or you do not have"):
        through.files.retrieve(clip.id)
    with pytest.raises(openai.AuthenticationError):
        through.with_options(api_key="none").files.list()
    with pytest.raises(openai.APIStatusError, match="exceeds the limit of 100000 bytes"):
        through.files.create(file=("a.wav", LARGE * 3), purpose="user_data")


def test_without_the_service_the_routes_have_status_404(router):
    answer = httpx2.get(f"{router()}/v1/batches", timeout=PATIENCE_S)
    assert answer.status_code == 404
    assert "--batches-url" in answer.json()["error"]["message"]


def test_while_the_service_is_down_clients_are_asked_to_retry(router):
    answer = httpx2.get(
        f"{router('--batches-url', 'http://127.0.0.1:1')}/v1/files", timeout=PATIENCE_S
    )
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "cannot be reached" in answer.json()["error"]["message"]
