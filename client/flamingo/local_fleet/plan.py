"""What `flamingo up` starts: how many pods, on which GPUs, with which commands and environment.

Pure: the caller describes the hardware.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from flamingo_common.service.comma_list import split_commas

LogLevel = Literal["debug", "info", "warning", "error"]

LOOPBACK = "127.0.0.1"
NUM_PODS_WITHOUT_GPU = 2
"""Two, so that there is something to balance."""

_GPU_LINE = re.compile(r"^GPU (\d+):", re.MULTILINE)


@dataclass(frozen=True)
class FleetOptions:
    """The options of `flamingo up`."""

    model: str
    num_pods: int | None
    """None: one per GPU, or `NUM_PODS_WITHOUT_GPU`."""
    host: str
    port: int
    log_level: LogLevel
    """Minimum level of the services' log lines to show."""
    grace_period_s: float
    """Seconds that the services have to finish requests in flight."""
    batches_dir: str | None = None
    """Absolute path of what the service of batches keeps; None: there is no such service."""
    recipes_dir: str | None = None
    """Absolute path of recipes beside those of the package."""
    restart_delay_s: float = 1.0
    """Seconds until a pod that died is started again; they double each time in a row."""
    client_url: str = ""
    """The URL that clients use which are given none."""


@dataclass(frozen=True)
class Hardware:
    """The hardware that the fleet can use."""

    gpus: tuple[str, ...]
    """Identifiers as in CUDA_VISIBLE_DEVICES."""
    num_cores: int


@dataclass(frozen=True)
class ServiceCommands:
    """The command of each service, without its flags."""

    pod: tuple[str, ...]
    router: tuple[str, ...]
    batches: tuple[str, ...]
    client: tuple[str, ...] = ("flamingo",)
    """The command line, for examples."""


@dataclass(frozen=True)
class FleetPorts:
    """Where the services behind the router listen, on loopback."""

    pods: Sequence[int]
    batches: int | None = None
    """None: there is no service of batches."""


def visible_gpus(listing: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the GPUs in the output of `nvidia-smi -L` that CUDA_VISIBLE_DEVICES allows.

    `nvidia-smi` itself ignores that variable.
    """
    installed = tuple(_GPU_LINE.findall(listing))
    allowed = environ.get("CUDA_VISIBLE_DEVICES")
    if not installed or allowed is None:
        return installed
    return split_commas(allowed)


def num_pods(options: FleetOptions, hardware: Hardware) -> int:
    """Return the number of pods to start."""
    return options.num_pods or len(hardware.gpus) or NUM_PODS_WITHOUT_GPU


def pod_command(program: Sequence[str], options: FleetOptions, fd: int) -> tuple[str, ...]:
    """Return the command of a pod, which inherits the listening socket `fd`."""
    recipes = ("--recipes-dir", options.recipes_dir) if options.recipes_dir else ()
    return (*program, *_common_flags(options, fd), "--model", options.model, *recipes)


def batches_command(
    program: Sequence[str], options: FleetOptions, fd: int, router_url: str
) -> tuple[str, ...]:
    """Return the command of the service of batches, which inherits the listening socket `fd`."""
    database = f"sqlite:///{options.batches_dir}/batches.db"
    stores = ("--database-url", database, "--contents-url", f"{options.batches_dir}/contents")
    return (*program, *_common_flags(options, fd), "--server-url", router_url, *stores)


def router_command(
    program: Sequence[str], options: FleetOptions, fd: int, ports: FleetPorts
) -> tuple[str, ...]:
    """Return the command of the router, which inherits the listening socket `fd`."""
    endpoints = [
        flag for port in ports.pods for flag in ("--endpoint", listener_url(LOOPBACK, port))
    ]
    batches = ("--batches-url", listener_url(LOOPBACK, ports.batches)) if ports.batches else ()
    return (*program, *_common_flags(options, fd), *endpoints, *batches)


def pod_environ(
    number: int, total: int, hardware: Hardware, environ: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of pod `number` (from 0) of `total`: its GPU, or its share of cores.

    With more pods than GPUs, GPUs are assigned round robin.
    """
    if hardware.gpus:
        return {**environ, "CUDA_VISIBLE_DEVICES": hardware.gpus[number % len(hardware.gpus)]}
    # torch uses every core by default; several processes would oversubscribe the CPU.
    return {"OMP_NUM_THREADS": str(max(1, hardware.num_cores // total)), **environ}


def listener_url(host: str, port: int) -> str:
    """Return the URL of a listener on `host`; loopback where `host` means all interfaces."""
    reachable = {"0.0.0.0": LOOPBACK, "::": LOOPBACK, "": LOOPBACK}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _common_flags(options: FleetOptions, fd: int) -> tuple[str, ...]:
    return (
        "--fd",
        str(fd),
        "--stop-with-parent",
        "--grace-period-s",
        f"{options.grace_period_s:g}",
    )
