"""`flamingo bench` becomes the benchmark."""

import subprocess
import sys


def test_bench_replaces_the_process_and_passes_every_argument_on():
    program = (
        "import sys\nfrom flamingo import cli\n"
        "sys.argv = ['flamingo', 'bench', 'engine', '--help', '--', '-x', '--repeats=2']\n"
        "sys.executable = '/bin/echo'  # an interpreter that tells its arguments\n"
        "cli.main()\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert told.stdout == "-P -m flamingo_pod.bench engine --help -- -x --repeats=2\n"
    assert (told.returncode, told.stderr) == (0, "")


def test_wrong_use_is_two_and_loads_no_torch():
    program = (
        "import sys\nfrom flamingo_pod.bench import __main__ as bench\n"
        "try:\n    bench.main(['engine', '--repeats', '0'])\n"
        "except SystemExit as leaving:\n    print(leaving.code, 'torch' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert told.stdout == "2 False\n"
    assert told.stderr == "flamingo bench: --repeats: 0 is less than 1\n"
