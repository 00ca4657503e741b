"""What to start: how many pods, on which GPU, with which command and environment.

Pure: the machine is described by the caller.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

LogLevel = Literal["debug", "info", "warning", "error"]

LOOPBACK = "127.0.0.1"
NUM_PODS_WITHOUT_GPU = 2
"""Two is the least that shows a router choosing."""

_GPU_LINE = re.compile(r"^GPU (\d+):", re.MULTILINE)


@dataclass(frozen=True)
class Options:
    """What the user wants."""

    model: str = "flamingo-tiny"
    num_pods: int | None = None
    """None: one for each GPU, or `NUM_PODS_WITHOUT_GPU`."""
    host: str = LOOPBACK
    port: int = 8000
    log_level: LogLevel = "warning"
    """The services' own log lines from this level on are shown."""
    grace_s: float = 10.0
    """Seconds the services get to finish what they hold."""


@dataclass(frozen=True)
class Machine:
    """What the fleet may use."""

    gpus: tuple[str, ...]
    """As CUDA_VISIBLE_DEVICES names them."""
    num_cores: int


@dataclass(frozen=True)
class Programs:
    """How each service is started; its flags follow."""

    pod: tuple[str, ...]
    router: tuple[str, ...]


def visible_gpus(listing: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the GPUs in `nvidia-smi -L`'s `listing` that `environ` leaves visible.

    `nvidia-smi` itself does not heed CUDA_VISIBLE_DEVICES; what the user has
    narrowed stays so.
    """
    found = tuple(_GPU_LINE.findall(listing))
    allowed = environ.get("CUDA_VISIBLE_DEVICES")
    if not found or allowed is None:
        return found
    return tuple(device for name in allowed.split(",") if (device := name.strip()))


def num_pods(options: Options, machine: Machine) -> int:
    """Return how many pods to start."""
    return options.num_pods or len(machine.gpus) or NUM_PODS_WITHOUT_GPU


def pod_command(program: Sequence[str], options: Options, fd: int) -> tuple[str, ...]:
    """Return the command of a pod, which inherits the listening socket `fd`."""
    return (*program, *_frame(options, fd), "--model", options.model)


def router_command(
    program: Sequence[str], options: Options, fd: int, pod_ports: Sequence[int]
) -> tuple[str, ...]:
    """Return the command of the router, which inherits the listening socket `fd`."""
    endpoints = [flag for port in pod_ports for flag in ("--endpoint", address(LOOPBACK, port))]
    return (*program, *_frame(options, fd), *endpoints)


def pod_environ(
    number: int, total: int, machine: Machine, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of pod `number` (from 0) of `total`: its GPU, or its share of cores.

    More pods than GPUs share them in turn.
    """
    if machine.gpus:
        return {**environ, "CUDA_VISIBLE_DEVICES": machine.gpus[number % len(machine.gpus)]}
    # Every torch process takes all cores unless told; N of them would trample each other.
    return {"OMP_NUM_THREADS": str(max(1, machine.num_cores // total)), **environ}


def address(host: str, port: int) -> str:
    """Return where to reach a listener on `host`: itself, or loopback for "any address"."""
    reachable = {"0.0.0.0": LOOPBACK, "::": "::1", "": LOOPBACK}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _frame(options: Options, fd: int) -> tuple[str, ...]:
    return ("--fd", str(fd), "--stop-with-parent", "--grace-period-s", f"{options.grace_s:g}")
