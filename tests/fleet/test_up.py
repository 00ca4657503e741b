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
from fakes.patience import PATIENCE_S

from flamingo_common.service.exit_status import ExitStatus

SERVICE = '''
"""A pod, or with `--endpoint` a router. The name of its model selects its behaviour."""
import os, signal, sys
from pathlib import Path
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
log = Path(os.readlink("/dev/fd/2"))
num_starts = log.read_text().count("pid=") if log.is_file() else 1
is_broken = {
    "broken": True, "breaks": num_starts > 1, "one-breaks": num_starts > 1 and log.stem == "pod-1"
}
if is_broken.get(options.model):
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
    restart_delay_s=0.01,
)
sys.exit(fleet.up(options, plan.ServiceCommands(program, program, program), Path("/clip.mp3")))
"""

FLAMINGO = [sys.executable, "-P", "-c", "from flamingo.cli import main; main()"]
NUM_SERVICES = 3


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
        return [pid for name in self.logs() for pid in self.pids_of(name)]

    def pids_of(self, name):
        """Return the process ids of one service, of each time that it was started."""
        return [int(found) for found in re.findall(r"pid=(\d+)", self.logs()[name])]

    def lines_until(self, pattern):
        """Return the lines of standard error up to the first that matches."""
        lines = []
        for line in self.process.stderr:
            lines.append(line.rstrip())
            if re.match(pattern, line):
                return lines
        raise AssertionError(lines)

    def wait(self):
        """Return exit status and standard error, once it has ended."""
        _, err = self.process.communicate(timeout=PATIENCE_S)
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
            assert select.select([watch], [], [], PATIENCE_S)[0], f"process {pid} is still there"
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
    assert list(fleet.folder.glob("flamingo-up-*")) == []


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

    [folder] = fleet.folder.glob("flamingo-up-*")
    assert status == 7, "that of the pod"
    assert err.endswith(f"the logs are in {folder}\n")
    assert re.search(r"last lines of \S+pod-[12]\.log", err)
    assert re.search(r"pod-[12]  \| the weights are corrupt", err)
    assert re.search(r"\npod-[12] exited with status 7: the weights are corrupt\n", err)
    assert not any(is_running(pid) for pid in fleet.pids())


def test_router_that_dies_stops_the_fleet(up):
    fleet = up()
    fleet.address_when_ready()
    pids = fleet.pids()

    os.kill(fleet.pids_of("router")[0], signal.SIGKILL)
    status, err = fleet.wait()

    assert status == 1
    assert "router was killed by SIGKILL" in err
    assert not any(is_running(pid) for pid in pids)


def test_pod_that_dies_is_started_again_while_the_others_go_on(up):
    fleet = up()
    address = fleet.address_when_ready()
    [killed], [other], [router] = map(fleet.pids_of, ("pod-2", "pod-1", "router"))

    os.kill(killed, signal.SIGKILL)
    lines = fleet.lines_until("pod-2 was started again")

    assert lines[-2:] == [
        "pod-2 was killed by SIGKILL; starting it again in 0.01 s",
        "pod-2 was started again",
    ]
    with urllib.request.urlopen(f"{address}/health/ready", timeout=PATIENCE_S) as answer:
        assert b'"ready": 2' in answer.read()  # the new process serves the port of the old one
    assert (fleet.pids_of("pod-1"), fleet.pids_of("router")) == ([other], [router])
    assert len(fleet.pids_of("pod-2")) == 2
    fleet.process.send_signal(signal.SIGINT)
    status, err = fleet.wait()
    assert status == 0
    [folder] = fleet.folder.glob("flamingo-up-*")
    assert err.endswith(f"the logs are in {folder}\n")
    assert not any(is_running(pid) for pid in fleet.pids())


def test_pod_that_dies_again_and_again_is_left_with_its_reason(up):
    fleet = up(model="one-breaks")
    fleet.address_when_ready()

    os.kill(fleet.pids_of("pod-1")[0], signal.SIGKILL)
    lines = fleet.lines_until("pod-1 exited with status 7.* not started again")

    log = next(fleet.folder.glob("flamingo-up-*")) / "pod-1.log"
    assert lines[-1] == (
        "pod-1 exited with status 7: the weights are corrupt;"
        f" it died too often and is not started again; its log is {log}"
    )
    assert lines.count("pod-1 was started again") == 5
    assert is_running(fleet.pids_of("router")[0])
    fleet.process.send_signal(signal.SIGINT)
    assert fleet.wait()[0] == 0


def test_fleet_ends_when_no_pod_is_left(up):
    fleet = up(model="breaks")
    fleet.address_when_ready()

    for name in ("pod-1", "pod-2"):
        os.kill(fleet.pids_of(name)[0], signal.SIGKILL)
    status, err = fleet.wait()

    assert status == 1
    assert "all 2 pods died too often: stopping" in err
    assert not any(is_running(pid) for pid in fleet.pids())


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

    assert (done.returncode, done.stdout) == (ExitStatus.PORT_IN_USE, "")
    message = f"127.0.0.1:{port}: in use by another process; choose another port with --port"
    assert done.stderr == f"flamingo: cannot listen on {message}\n"
    assert list(tmp_path.iterdir()) == []
