"""`python -m flamingo_pod.doctor MODEL …`: print each check as a line of JSON, once it is done.

`flamingo doctor` runs this in a process of its own, since an import may crash it.
"""

import argparse
import sys
from collections.abc import Iterator

from flamingo_common.service import logs
from flamingo_common.service.checks import Check
from flamingo_pod.doctor import device, kernels, measuring, model, software, sound
from flamingo_pod.model.dimensions import PUBLISHED
from flamingo_pod.model.gpu import find_gpu
from flamingo_pod.model.placement import (
    choose_placement,
    fp8_unsupported_reason,
    unsupported_reason,
)


def main(argv: list[str]) -> None:
    """Run all checks, and print them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--revision")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--quantization", choices=["fp8"])
    arguments = parser.parse_args(argv)
    logs.configure(service="doctor", level="error")  # standard output is for the checks
    for check in checks(arguments):
        print(check.model_dump_json(), flush=True)  # noqa: T201 - read by the command


def checks(arguments: argparse.Namespace) -> Iterator[Check]:
    """Yield each check once it is done."""
    yield from software.checks()
    yield from sound.checks()
    yield measuring.check()
    gpu = find_gpu()
    placement = choose_placement(arguments.device, arguments.dtype, gpu)
    yield from device.checks(placement, gpu)
    found, results = model.inspect(arguments.model, arguments.revision)
    yield from results
    is_usable = placement.device == "cpu" or gpu is not None
    is_fp8 = arguments.quantization is not None or (found is not None and found.is_fp8)
    if placement.device == "cuda" and unsupported_reason(placement, gpu) is None:
        dimensions = PUBLISHED if found is None else found.dimensions
        has_fp8 = is_fp8 and fp8_unsupported_reason(gpu) is None
        yield kernels.check(dimensions, placement.dtype, is_fp8=has_fp8)
    if is_fp8:
        yield device.fp8_check(placement, gpu)
    if found is not None and is_usable:
        yield device.memory_check(placement, found, is_fp8=is_fp8)


if __name__ == "__main__":
    main(sys.argv[1:])
