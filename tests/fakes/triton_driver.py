"""A driver for Triton without a device: kernels are compiled for a real GPU, and not run."""

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import triton
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

SHARED_BYTES = {80: 163 * 1024, 86: 99 * 1024, 89: 99 * 1024, 90: 227 * 1024}
"""What one program may use, by compute capability: CUDA C++ Programming Guide, §17, table 27."""
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
USAGE = re.compile(r"REG:(\d+) STACK:(\d+)")


@dataclass
class Launch:
    """One launch of a kernel."""

    kernel: str
    grid: tuple[int, int, int]
    shared_bytes: int


@dataclass
class CompilingDriver:
    """Compiles for one compute capability, such as 90, and records what would be launched."""

    capability: int
    launches: list[Launch] = field(default_factory=list)
    registers: dict[str, int] = field(default_factory=dict)
    """The most that a kernel takes per thread."""
    spilled_bytes: dict[str, int] = field(default_factory=dict)

    def activate(self):
        driver.set_active(self)

    # What Triton asks of a driver: triton.backends.driver.DriverBase.

    def get_current_target(self):
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0

    @property
    def utils(self):
        return self

    def get_device_properties(self, device):
        return {"max_shared_mem": SHARED_BYTES[self.capability]}

    def load_binary(self, name, binary, shared_bytes, device):
        registers, stack_bytes = _usage(binary)
        self.registers[name] = max(registers, self.registers.get(name, 0))
        self.spilled_bytes[name] = max(stack_bytes, self.spilled_bytes.get(name, 0))
        return 0, 0, registers, stack_bytes, 1024

    def unload_module(self, module):
        pass

    def launcher_cls(self, source, metadata):
        def launch(*arguments):
            self.launches.append(Launch(metadata.name, arguments[:3], metadata.shared))

        return launch


def _usage(binary):
    """Return the registers of a cubin's kernel, and the bytes that did not fit into them."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(binary)
        command = [os.fspath(TOOLS / "cuobjdump"), "--dump-resource-usage", file.name]
        done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = USAGE.search(done.stdout)
    return int(found[1]), int(found[2])
