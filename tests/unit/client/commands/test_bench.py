"""`flamingo bench` replaces itself with the benchmark."""

import subprocess
import sys


def test_bench_replaces_the_process_and_passes_every_argument():
    program = (
        "import sys\nfrom flamingo import cli\n"
        "sys.argv = ['flamingo', 'bench', 'engine', '--help', '--', '-x', '--repeats=2']\n"
        "sys.executable = '/bin/echo'  # prints its arguments\n"
        "cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout == "-P -m flamingo_pod.bench engine --help -- -x --repeats=2\n"
    assert (done.returncode, done.stderr) == (0, "")


def test_usage_error_is_two_and_imports_no_torch():
    program = (
        "import sys\nfrom flamingo_pod.bench import __main__ as bench\n"
        "try:\n    bench.main(['engine', '--repeats', '0'])\n"
        "except SystemExit as error:\n    print(error.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert done.stdout == "2 False\n"
    assert done.stderr == "flamingo bench: --repeats: 0 is less than 1\n"
