"""What something costs, counted instead of timed: the same number on any machine."""

import sys
from collections.abc import Callable


def num_steps(run: Callable[[], object]) -> int:
    """Return how many lines of Python `run` executes, in whatever it calls."""
    count, before = 0, sys.gettrace()

    def trace(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return count
