"""A pod whose model blocks forever once the file `STUCK_WHEN` exists.

All of it is the real pod; a hook is added to the language model that it loads.
"""

import os
import sys
import threading
from pathlib import Path

from flamingo_common.service import logs, run, settings
from flamingo_pod import app, pod
from flamingo_pod.model import checkpoint
from flamingo_pod.settings import Settings


def load(source, progress):
    loaded = checkpoint.load(source, progress)
    when = Path(os.environ["STUCK_WHEN"])

    def block(*_):
        if when.exists():
            threading.Event().wait()

    loaded.model.model.language_model.layers[0].register_forward_pre_hook(block)
    return loaded


def main(argv):
    pod_settings = settings.load(Settings, argv, os.environ, prog="stuck pod")
    logs.configure(service="pod", level=pod_settings.log_level)
    stuck_pod = pod.create(pod_settings, load)
    status = run.run(app.create(stuck_pod), pod_settings, drain=stuck_pod.drain)
    return stuck_pod.exit_status or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
