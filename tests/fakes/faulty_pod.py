"""A pod whose model stalls, or fails like a lost GPU, once the file `FAULT_WHEN` exists.

All of it is the real pod; a hook is added to the part of the model, `FAULT_IN`, that it loads.
"""

import os
import sys
import threading
from pathlib import Path

from flamingo_common.service import logs, settings
from flamingo_pod import pod, process
from flamingo_pod.model import checkpoint
from flamingo_pod.settings import Settings

LOST = """CUDA error: an illegal memory access was encountered
CUDA kernel errors might be asynchronously reported at some other API call."""


def stall():
    threading.Event().wait()


def lose():
    raise RuntimeError(LOST)


FAULTS = {"stall": stall, "lose": lose}


def load(source, progress):
    loaded = checkpoint.load(source, progress)
    when, fault = Path(os.environ["FAULT_WHEN"]), FAULTS[os.environ["FAULT"]]

    def hook(*_):
        if when.exists():
            fault()

    part = loaded.model.get_submodule(os.environ["FAULT_IN"])
    part.register_forward_pre_hook(hook)
    return loaded


def main(argv):
    pod_settings = settings.load(Settings, argv, os.environ, prog="faulty pod")
    logs.configure(service="pod", level=pod_settings.log_level)
    return process.run_pod(pod.create(pod_settings, load))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
