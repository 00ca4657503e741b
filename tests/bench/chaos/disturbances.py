"""Which process is disturbed next, how and for how long. Pure, but for the dice it is handed.

One pod and one router are always left alone, so that a request can always be answered.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

MEAN_PAUSE_S = 2.0
"""Between two disturbances."""
HOWS = ("kill", "kill", "terminate", "stop")
"""A kill is the hardest, and so twice as likely."""
MAX_PAUSE_S = {"kill": 3.0, "terminate": 3.0, "stop": 15.0}
"""Before a process is started again or goes on. A pod that does not respond for 10 s is given up
by the router, so some are stopped for longer."""
MAX_ROUTER_STOP_S = 5.0
ROUTER_SHARE = 0.25


@dataclass(frozen=True)
class Disturbance:
    """What happens to one process."""

    how: str
    pause_s: float


def choose(dice: random.Random, *, is_router: bool) -> Disturbance:
    """Return what happens to a router or a pod."""
    how = dice.choice(HOWS)
    longest_s = MAX_ROUTER_STOP_S if is_router and how == "stop" else MAX_PAUSE_S[how]
    return Disturbance(how, dice.uniform(0.0, longest_s))


def victims(pods: Sequence[bool], routers: Sequence[bool]) -> tuple[list[int], list[int]]:
    """Return the pods and routers that may be disturbed; the arguments tell which are already."""

    def some(group):
        calm = [number for number, is_disturbed in enumerate(group) if not is_disturbed]
        return calm if len(calm) > 1 else []

    return some(pods), some(routers)
