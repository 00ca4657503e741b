import subprocess
import sys

from flamingo_pod.engine.kernels import availability


def test_triton_can_be_imported_here():
    assert availability.import_failure() is None


def test_where_it_cannot_the_reason_is_returned():
    # Isolated from what this process has imported.
    program = (
        "import sys; sys.modules['triton'] = None\n"
        "from flamingo_pod.engine.kernels.availability import import_failure\n"
        "print(import_failure())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert done.stdout.startswith("ModuleNotFoundError: ")
    assert "triton" in done.stdout
