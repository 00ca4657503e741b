"""What `flamingo fleet` prints."""

import re
from dataclasses import dataclass, field

from fakes import pods

from flamingo_common.wire import report

LOAD = report.LoadReport(
    model="flamingo-tiny",
    state="draining",
    epoch="1",
    sequence=1,
    backlog_s=2,
    num_running=1,
    num_waiting=0,
)
POD = {"address": "http://10.0.0.1:8000", "backlog_s": 2.04, "num_open": 3}
READY = LOAD.model_copy(update={"state": "ready"})
ENDPOINTS = [
    {**POD, "ready": True, "load": READY, "queued_s": 1.26, "speed": 1.31},
    {**POD, "ready": False, "load": LOAD, "reason": "draining"},
    {**POD, "ready": False, "load": None, "reason": "unreachable"},
    {**POD, "ready": False, "load": READY, "reason": "ejected", "ejected": True},
]


@dataclass
class Router(pods.FakePod):
    """A router with four pods."""

    more: dict = field(default_factory=dict)

    def app(self):
        app = super().app()
        app.router.add_get("/fleet", self._fleet)
        return app

    async def _fleet(self, _):
        return pods.http.json_response(report.FleetReport(**{"endpoints": ENDPOINTS} | self.more))


def test_fleet_shows_each_pod_and_why_it_is_not_ready(flamingo):
    result = flamingo("fleet", pod=Router())

    summary, _, *table = result.stdout.splitlines()
    rows = [re.split(r"  +", line.strip()) for line in table]
    assert summary == "1 of 4 pods ready, flamingo-tiny"
    assert rows == [
        ["pod", "status", "backlog", "prefill", "in flight", "slowdown"],
        ["http://10.0.0.1:8000", "ready", "2.0 s", "1.3 s", "3", "1.3x"],
        ["http://10.0.0.1:8000", "draining", "2.0 s", "0.0 s", "3", "1.0x"],
        ["http://10.0.0.1:8000", "unreachable", "2.0 s", "0.0 s", "3", "1.0x"],
        ["http://10.0.0.1:8000", "ejected", "2.0 s", "0.0 s", "3", "1.0x"],
    ]
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_fleet_shows_the_queue_and_the_arrivals(flamingo):
    queue = {"num": 4, "audio_s": 62, "work_s": 1.21, "oldest_s": 3.14}
    recent = {"window_s": 60, "num": 2.4, "audio_s": 1030, "work_s": 0.8}
    busy = flamingo("fleet", pod=Router(more={"queue": queue, "arrivals": [recent]}))
    cold = flamingo("fleet", pod=Router(more={"queue": queue, "cold": True, "holding_s": 12}))

    amounts = "62 s of audio, 1.2 s of work, oldest"
    assert busy.stdout.splitlines()[1:3] == [
        f"4 requests queued: {amounts} 3.1 s",
        "arrivals per second: 2.4 requests, 1,030.0 s of audio, 0.8 s of work (last 60 s)",
    ]
    assert cold.stdout.splitlines()[1] == f"4 requests held until a pod is ready: {amounts} 12.0 s"


def test_pods_that_refuse_the_key_of_the_router_are_counted(flamingo):
    refused = [{**POD, "ready": False, "load": None, "reason": "key_refused"}] * 2

    result = flamingo("fleet", pod=Router(more={"endpoints": refused}))

    assert result.stdout.splitlines()[:2] == [
        "0 of 2 pods ready",
        "2 pods refuse the router's key; see --pod-key-file of flamingo router",
    ]


def test_one_pod_is_singular(flamingo):
    result = flamingo("fleet", pod=Router(more={"endpoints": ENDPOINTS[:1], "queue": {"num": 1}}))

    assert result.stdout.splitlines()[0] == "1 of 1 pod ready, flamingo-tiny"
    assert result.stdout.splitlines()[1].startswith("1 request queued: ")


def test_router_without_pods(flamingo):
    result = flamingo("fleet", pod=Router(more={"endpoints": []}))

    assert (result.stdout, result.exit_code) == ("no pods registered\n", 0)


def test_pod_is_reported_as_not_a_router(flamingo):
    result = flamingo("fleet")

    assert result.exit_code == 1
    assert "is a pod, not a router; pass the router's URL" in str(result.exception)
