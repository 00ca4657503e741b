"""`python -m flamingo_pod.doctor MODEL …`: print each check as a line of JSON, once it is done.

`flamingo doctor` runs this in a process of its own, since an import may crash it.
"""

import argparse
import sys
from collections.abc import Iterator

from flamingo_common.service import logs
from flamingo_common.service.checks import Check
from flamingo_pod.doctor import device, model, software, sound


def main(argv: list[str]) -> None:
    """Run all checks, and print them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--revision")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    arguments = parser.parse_args(argv)
    logs.configure(service="doctor", level="error")  # standard output is for the checks
    for check in checks(arguments):
        print(check.model_dump_json(), flush=True)  # noqa: T201 - read by the command


def checks(arguments: argparse.Namespace) -> Iterator[Check]:
    """Yield each check once it is done."""
    yield from software.checks()
    yield from sound.checks()
    placement = device.choose_placement(arguments.device, arguments.dtype)
    yield from device.checks(placement)
    contents, found = model.inspect(arguments.model, arguments.revision)
    yield from found
    if contents is not None:
        yield device.memory_check(placement, contents)


if __name__ == "__main__":
    main(sys.argv[1:])
