"""When a service that died is started again.

Pure: time is an argument.
"""

from dataclasses import dataclass

from flamingo_common.service.backoff import backoff_s

MAX_RESTARTS = 5
"""In a row: after 1, 2, 4, 8 and 16 s, unless the first delay is another."""
MAX_DELAY_S = 30.0
STABLE_S = 600.0
"""A service that ran this long starts with no deaths, as a container of Kubernetes does."""


@dataclass
class DeathCount:
    """How often one service died in a row."""

    first_delay_s: float
    num: int = 0

    def restart_delay_s(self, ran_s: float) -> float | None:
        """Count one more death, after `ran_s` seconds; None: do not start the service again."""
        self.num = 1 if ran_s >= STABLE_S else self.num + 1
        if self.num > MAX_RESTARTS:
            return None
        return backoff_s(self.num, first_s=self.first_delay_s, max_s=MAX_DELAY_S)
