"""A pod whose model blocks for ever, once the file that `STUCK_WHEN` names is there.

All of it is the real pod; the model that it loads has a hook on its language model.
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
    given = settings.load(Settings, argv, os.environ, prog="stuck pod")
    logs.configure(service="pod", level=given.log_level)
    serving = pod.create(given, load)
    status = run.run(app.create(serving), given, drain=serving.drain)
    return serving.exit_status or status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
