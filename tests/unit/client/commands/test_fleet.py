"""What `flamingo fleet` prints."""

import asyncio
import json
import os
import re
import signal
from dataclasses import dataclass, field

import pytest
from fakes import pods, pseudo_terminal
from fakes.command_line import FLAMINGO

from flamingo.commands.display import fleet_views
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


@pytest.mark.parametrize(
    ("reason", "line"),
    [
        ("key_refused", "2 pods refuse the router's key; see --pod-key-file of flamingo router"),
        ("name_refused", "2 pods may not be called by name; see --allowed-hosts of flamingo serve"),
    ],
)
def test_pods_that_refuse_the_router_are_counted(flamingo, reason, line):
    refused = [{**POD, "ready": False, "load": None, "reason": reason}] * 2

    result = flamingo("fleet", pod=Router(more={"endpoints": refused}))

    assert result.stdout.splitlines()[:2] == ["0 of 2 pods ready", line]


def test_fleet_shows_what_was_cached_and_how_long_arrivals_were_counted(flamingo):
    caches = {
        "embeddings": {"queries": 8, "hits": 6},
        "kv": {"queries": 0, "hits": 0},
        "held": {"queries": 1, "hits": 1},
    }
    pod = {**ENDPOINTS[0], "load": {**READY.model_dump(mode="json"), "caches": caches}}
    recent = {"window_s": 60, "covered_s": 12.3, "num": 2.4, "audio_s": 30, "work_s": 0.8}

    result = flamingo("fleet", pod=Router(more={"endpoints": [pod, pod], "arrivals": [recent]}))

    assert result.stdout.splitlines()[1:3] == [
        "arrivals per second: 2.4 requests, 30.0 s of audio, 0.8 s of work (last 12 s)",
        "cached: 75% of windows, 100% of clips by id",
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


A, B = "http://10.0.0.1:8000", "http://10.0.0.2:8000"


def fleet_of(**reasons):
    """Return a report of pods a and b with these reasons; an empty one is that of a ready pod."""
    addresses = {"a": A, "b": B}
    endpoints = [
        {**POD, "address": addresses[name], "ready": not reason, "load": READY, "reason": reason}
        for name, reason in reasons.items()
    ]
    return report.FleetReport(endpoints=endpoints)


def test_what_changed_is_what_came_what_left_and_other_states():
    first, second = fleet_of(a="", b=""), fleet_of(b="draining")

    assert list(fleet_views.changes(None, first)) == [f"{A} ready", f"{B} ready"]
    assert list(fleet_views.changes(first, first)) == []
    assert list(fleet_views.changes(first, second)) == [f"{B} draining", f"{A} left"]


class ChangingRouter(Router):
    """A router whose reports are those of a list, and then its last one."""

    def __init__(self, *reports):
        super().__init__()
        self.reports = list(reports)

    async def _fleet(self, _):
        last = self.reports[0] if len(self.reports) == 1 else self.reports.pop(0)
        return pods.http.json_response(last)


async def watching(router, *flags, run):
    async with pods.running(router) as address:
        command = [*FLAMINGO, "fleet", "--watch", "--interval", "0.05", "--url", address, *flags]
        return await run(command)


def test_watch_prints_a_line_for_each_change_where_there_is_no_terminal():
    async def run(command):
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        lines = [await process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        await process.communicate()
        return process.returncode, [line.decode().split(" ", 1)[1] for line in lines]

    router = ChangingRouter(fleet_of(a="", b=""), fleet_of(a="", b=""), fleet_of(a="", b="failed"))
    status, lines = asyncio.run(watching(router, run=run))
    assert (status, lines) == (130, [f"{A} ready\n", f"{B} ready\n", f"{B} failed\n"])


def test_watch_prints_reports_as_json_when_they_change():
    async def run(command):
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        found = [json.loads(await process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        await process.communicate()
        return [[one["ready"] for one in each["endpoints"]] for each in found]

    router = ChangingRouter(fleet_of(a=""), fleet_of(a=""), fleet_of(a="draining"))
    assert asyncio.run(watching(router, "--json", run=run)) == [[True], [False]]


def test_watch_ends_when_nothing_reads_it_though_nothing_changes():
    async def run(command):
        reader, writer = os.pipe()
        process = await asyncio.create_subprocess_exec(
            *command, stdout=writer, stderr=asyncio.subprocess.PIPE
        )
        os.close(writer)
        await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)
        _, errors = await process.communicate()
        return process.returncode, errors

    status, errors = asyncio.run(watching(ChangingRouter(fleet_of(a="")), run=run))
    assert status != 0
    assert errors.count(b"\n") <= 1


def test_watch_redraws_a_terminal_until_ctrl_c():
    async def run(command):
        async with pseudo_terminal.running(*command) as terminal:
            await terminal.shows("2 of 2 pods ready")
            await terminal.shows("1 of 2 pods ready")
            await terminal.shows("unreachable")
            terminal.type(pseudo_terminal.CTRL_C)
            return await terminal.ends()

    router = ChangingRouter(fleet_of(a="", b=""), fleet_of(a="", b="unreachable"))
    status, _ = asyncio.run(watching(router, run=run))
    assert status == 130


def test_watch_of_what_is_not_a_router_ends_at_once(flamingo):
    result = flamingo("fleet", "--watch")

    assert "is a pod, not a router" in result.exception.message
