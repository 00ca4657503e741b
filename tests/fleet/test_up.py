"""`flamingo up` with real child processes: small services that load no model."""

import os
import re
import select
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest

SERVICE = '''
"""A pod, or with `--endpoint` a router. The name of its model selects its behaviour."""
import os, signal, sys
import aiohttp
from aiohttp import web
from pydantic_settings import SettingsConfigDict
from flamingo_common.service import http, run, settings

class Settings(settings.ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="STAND_IN_")
    model: str = ""
    endpoint: list[str] = []

options = settings.load(Settings, sys.argv[1:], os.environ, prog="stand-in")
print(f"pid={os.getpid()} threads={os.environ.get('OMP_NUM_THREADS')}", file=sys.stderr, flush=True)
if options.model == "broken":
    print("the weights are corrupt", file=sys.stderr)
    sys.exit(7)

async def ready(_):
    async with aiohttp.ClientSession() as session:
        for endpoint in options.endpoint:  # their ports are bound: this waits until they serve
            async with session.get(endpoint + "/health/ready"):
                pass
    num_pods = len(options.endpoint)
    return web.json_response({"status": "ready", "ready": num_pods, "total": num_pods})

async def drain():
    if options.model == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.pause()

app = http.create_app(max_body_bytes=1024)
app.router.add_get("/health/ready", ready)
sys.exit(run.run(app, options, drain=drain))
'''

DRIVER = """
import sys
from pathlib import Path
from flamingo.local_fleet import fleet, plan
program = (sys.executable, "-P", sys.argv[1])
options = plan.FleetOptions(
    model=sys.argv[2],
    num_pods=2,
    host="127.0.0.1",
    port=0,
    log_level="warning",
    grace_period_s=float(sys.argv[3]),
)
sys.exit(fleet.up(options, plan.ServiceCommands(program, program), Path("/clip.mp3")))
"""

FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()"]
NUM_SERVICES = 3
END_S = 20


class Up:
    """A running `flamingo up` of stand-ins."""

    def __init__(self, folder, *, model, grace_period_s):
        script = folder / "stand_in.py"
        script.write_text(SERVICE)
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", DRIVER, str(script), model, str(grace_period_s)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(folder), "CUDA_VISIBLE_DEVICES": ""},
        )

    def address_when_ready(self):
        for line in self.process.stdout:
            if found := re.match(r"The fleet is ready at (\S+)", line):
                return found[1]
        raise AssertionError(self.process.stderr.read())

    def logs(self):
        return {path.stem: path.read_text() for path in self.folder.glob("flamingo-up-*/*.log")}

    def pids(self):
        """Return the process ids of the services that have logged them."""
        matches = (re.search(r"pid=(\d+)", log) for log in self.logs().values())
        return [int(match[1]) for match in matches if match]

    def wait(self):
        """Return exit status and standard error, once it has ended."""
        _, err = self.process.communicate(timeout=END_S)
        return self.process.returncode, err


@pytest.fixture
def up(tmp_path):
    started = []

    def start(*, model="quick", grace_period_s=5.0):
        started.append(Up(tmp_path, model=model, grace_period_s=grace_period_s))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


def wait_until_gone(pids):
    """Return when no process of `pids` runs; waits on their process file descriptors."""
    for pid in pids:
        try:
            watch = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            assert select.select([watch], [], [], END_S)[0], f"process {pid} is still there"
        finally:
            os.close(watch)


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_fleet_serves_at_its_address_once_it_is_announced(up):
    fleet = up()

    address = fleet.address_when_ready()

    with urllib.request.urlopen(f"{address}/health/ready") as answer:
        assert b'"ready": 2' in answer.read()
    assert set(fleet.logs()) == {"pod-1", "pod-2", "router"}
    cores_each = max(1, len(os.sched_getaffinity(0)) // 2)
    assert f"threads={os.environ.get('OMP_NUM_THREADS', cores_each)}" in fleet.logs()["pod-1"]


def test_ctrl_c_stops_every_service(up):
    fleet = up()
    fleet.address_when_ready()
    pids = fleet.pids()

    fleet.process.send_signal(signal.SIGINT)
    status, err = fleet.wait()

    assert (status, len(pids)) == (0, NUM_SERVICES)
    assert not any(is_running(pid) for pid in pids)
    assert "Traceback" not in err


def test_second_ctrl_c_kills_services_that_do_not_stop(up):
    fleet = up(model="stubborn", grace_period_s=3600)
    fleet.address_when_ready()
    pids = fleet.pids()

    assert len(pids) == NUM_SERVICES
    fleet.process.send_signal(signal.SIGINT)
    assert any(line.startswith("stopping") for line in fleet.process.stderr)
    fleet.process.send_signal(signal.SIGINT)
    status, _ = fleet.wait()

    assert status == 0
    assert not any(is_running(pid) for pid in pids)


def test_services_stop_when_the_parent_is_killed(up):
    fleet = up()
    fleet.address_when_ready()
    pids = fleet.pids()

    fleet.process.kill()

    assert len(pids) == NUM_SERVICES
    wait_until_gone(pids)


def test_service_that_exits_is_reported_with_its_log_and_stops_the_rest(up):
    fleet = up(model="broken")

    status, err = fleet.wait()

    assert status == 1
    assert re.search(r"pod-[12] exited with status 7; last lines of \S+pod-[12]\.log", err)
    assert re.search(r"pod-[12]  \| the weights are corrupt", err)
    assert not any(is_running(pid) for pid in fleet.pids())


def test_service_that_is_killed_later_stops_the_fleet_too(up):
    fleet = up()
    fleet.address_when_ready()
    pids = fleet.pids()

    os.kill(int(re.search(r"pid=(\d+)", fleet.logs()["pod-2"])[1]), signal.SIGKILL)
    status, err = fleet.wait()

    assert status == 1
    assert "pod-2 was killed by SIGKILL" in err
    assert not any(is_running(pid) for pid in pids)


def test_port_in_use_is_reported_before_anything_starts(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = subprocess.run(
            [*FLAMINGO, "up", "--port", str(port)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        )

    assert (done.returncode, done.stdout) == (1, "")
    message = f"127.0.0.1:{port}: in use by another process; choose another port with --port"
    assert done.stderr == f"flamingo: cannot listen on {message}\n"
    assert list(tmp_path.iterdir()) == []
