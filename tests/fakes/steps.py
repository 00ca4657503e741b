"""What something costs, counted instead of timed: the same number on any machine."""

import gc
import sys
from collections.abc import Callable


def num_steps(run: Callable[[], object]) -> int:
    """Return how many lines of Python `run` executes, in whatever it calls."""
    count, before, is_collecting = 0, sys.gettrace(), gc.isenabled()

    def trace(_frame, event, _arg):
        nonlocal count
        count += event == "line"
        return trace

    gc.disable()  # finalizers, and callbacks of the test tools, would be counted
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
        if is_collecting:
            gc.enable()
    return count
