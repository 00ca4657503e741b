"""`kubectl flamingo` as a process."""

import json
import os
import subprocess
import sys

from fakes.patience import PATIENCE_S


def run_plugin(cluster, *args, body=None, kubeconfig=None, **environ):
    """Run the plugin as a process."""
    config = f"--kubeconfig={kubeconfig or cluster.kubeconfig}"
    program = "from flamingo_operator.plugin.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *args, config],
        input=json.dumps(body) if body is not None else None,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env={**os.environ, "NO_COLOR": "1", **environ},
    )


def output(cluster, *args, **more):
    done = run_plugin(cluster, *args, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def refusal(cluster, *args, **more):
    done = run_plugin(cluster, *args, **more)
    assert (done.returncode, done.stdout) == (1, ""), done.stdout
    assert done.stderr.startswith("kubectl flamingo: ")
    assert done.stderr.count("\n") == 1
    return done.stderr
