"""What the router knows and tells of its clients."""

import pytest
import structlog
from fakes.pods import FakePod
from fakes.routers import CHAT, QUESTION, routing, run

BEHIND = {"X-Forwarded-For": "6.6.6.6, 198.51.100.7", "Forwarded": "for=6.6.6.6"}


@pytest.mark.parametrize(
    ("trusted", "client"), [([], "127.0.0.1"), (["127.0.0.0/8"], "198.51.100.7")]
)
def test_the_log_and_the_pod_get_the_address_of_the_client(trusted, client):
    async def scenario():
        pod = FakePod()
        async with routing(pod, trusted_proxies=trusted) as router:
            with structlog.testing.capture_logs() as logged:
                await router.answer(CHAT, QUESTION, headers=BEHIND)
        (line,) = [each for each in logged if "endpoint" in each and "client" in each]
        assert line["client"] == client
        assert pod.header_values("x-forwarded-for") == [client]
        assert pod.header_values("forwarded") == [f"for={client}"]

    run(scenario)
