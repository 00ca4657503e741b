"""One upstream attempt: what each outcome means for the endpoint, the clip and the ticket."""

import asyncio
import contextlib
import random
import time

import aiohttp
import pytest
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.test_utils import make_mocked_request
from fakes import pods
from fakes.balancing import admission_limits, load_report
from fakes.patience import PATIENCE_S

from flamingo_common import errors
from flamingo_common.service import http
from flamingo_router.balancing.balancer import Balancer
from flamingo_router.balancing.fleet import Fleet
from flamingo_router.balancing.policy import LeastWorkLeft
from flamingo_router.balancing.quarantine import Quarantine
from flamingo_router.balancing.quota import Quotas
from flamingo_router.balancing.request_info import RequestInfo
from flamingo_router.metrics import Metrics
from flamingo_router.relay.admission import AdmissionQueue
from flamingo_router.relay.attempt import Attempt, OutcomeSinks
from flamingo_router.relay.heartbeat import Heartbeat
from flamingo_router.relay.relay import AttemptFailed, RelayedRequest
from flamingo_router.request.body import Body, BodyLimits
from flamingo_router.request.spool import Spool

ROUTE = "/v1/audio/captions"
LIMITS = BodyLimits(2**20, 2**20, 10.0, Spool("", 0))
UNUSED_ADDRESS = "http://127.0.0.1:9"


class Setup:
    """A balancer that knows one endpoint, and the sinks of an attempt there."""

    def __init__(self, address):
        now_s = time.monotonic()
        fleet = Fleet([address], stale_after_s=60, unreachable_after_s=60)
        limits, rng = admission_limits(), random.Random(1)
        self.balancer = Balancer(fleet, LeastWorkLeft(), limits, rng, now_s=now_s)
        self.balancer.observe(address, load_report(), requested_s=now_s, now_s=now_s)
        self.address, self.quarantine = address, Quarantine()
        queue, self.metrics = (
            AdmissionQueue(self.balancer, heartbeat_interval_s=60),
            Metrics(self.balancer, Quotas(share=1.0)),
        )
        self.sinks = OutcomeSinks(queue, self.quarantine, self.metrics)

    @property
    def endpoint(self):
        return self.balancer.fleet.endpoint_at(self.address, now_s=time.monotonic())

    @property
    def num_suspects(self):
        return len(self.quarantine)

    def num_attempts(self, outcome):
        labels = {"server": self.address, "outcome": outcome}
        name = "flamingo_router_upstream_attempts_total"
        return self.metrics.registry.get_sample_value(name, labels)

    async def attempt(self, info):
        request = make_mocked_request("POST", ROUTE, payload=EMPTY_PAYLOAD)
        request[http.REQUEST_ID], request[http.LOG_FIELDS], request[http.CLIENT] = "req-1", {}, ""
        ticket = self.balancer.reassign(info, without=(), now_s=time.monotonic())
        async with aiohttp.ClientSession() as session:
            relayed = RelayedRequest(request, Body(request, LIMITS), session, Heartbeat(request))
            with Attempt(ticket, relayed, info, self.sinks) as attempt:
                assert self.endpoint.num_in_flight == 1
                return await attempt.run()


@contextlib.asynccontextmanager
async def setup(pod):
    async with pods.running(pod) as address:
        yield Setup(address)


def run(scenario):
    async def in_time():
        async with asyncio.timeout(PATIENCE_S):
            await scenario()

    asyncio.run(in_time())


CLIP = RequestInfo(ROUTE, 5.0, "clip")


def test_a_response_settles_the_ticket_and_clears_the_clip():
    async def scenario():
        async with setup(pods.FakePod()) as there:
            there.quarantine.record_crash("clip", "another", now_s=time.monotonic())
            response = await there.attempt(CLIP)

            assert response.status == 200
            assert there.num_attempts("answered") == 1
            assert (there.endpoint.num_in_flight, there.num_suspects) == (0, 0)
            assert there.balancer.completed_audio_s == 5.0

    run(scenario)


def test_a_refused_connection_marks_the_endpoint_stale():
    async def scenario():
        there = Setup(UNUSED_ADDRESS)
        with pytest.raises(AttemptFailed):
            await there.attempt(CLIP)

        assert there.num_attempts("refused") == 1
        assert (there.endpoint.reason, there.endpoint.num_in_flight) == ("stale", 0)
        assert there.num_suspects == 0

    run(scenario)


def test_a_busy_pod_is_marked_stale_and_its_refusal_kept():
    async def scenario():
        async with setup(pods.FakePod(state="loading")) as there:
            with pytest.raises(AttemptFailed) as failed:
                await there.attempt(CLIP)

            assert failed.value.response.status == 503
            assert there.num_attempts("busy") == 1
            assert there.endpoint.reason == "stale"

    run(scenario)


def test_a_lost_connection_makes_the_clip_a_suspect():
    async def scenario():
        async with setup(pods.FakePod(aborts_unanswered=True)) as there:
            with pytest.raises(AttemptFailed):
                await there.attempt(CLIP)

            assert there.num_attempts("lost") == 1
            assert (there.endpoint.reason, there.num_suspects) == ("", 1)

    run(scenario)


def test_a_deadline_ends_an_attempt_without_a_response():
    async def scenario():
        async with setup(pods.FakePod(release=asyncio.Event())) as there:
            info = RequestInfo(ROUTE, 5.0, "clip", deadline_s=time.monotonic())
            with pytest.raises(errors.DeadlineExceeded, match="before a pod started responding"):
                await there.attempt(info)

            assert there.num_attempts("broken") == 1
            assert there.endpoint.num_in_flight == 0

    run(scenario)
