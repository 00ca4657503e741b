"""The state of the operator's process, which its probes report."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from flamingo_operator.settings import Settings

STARTING = ("it is starting",)


def _starting() -> Sequence[str]:
    return STARTING


def _yes() -> bool:
    return True


@dataclass(slots=True)
class OperatorState:
    """The state of the process; its parts are set as they start."""

    settings: Settings
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    has_failed: bool = False
    """Leadership was lost, or a bug ended it: the process exits with status 1."""
    is_leading: bool = False
    problems: Callable[[], Sequence[str]] = _starting
    """Returns why this replica is not ready: it can neither lead nor wait to lead."""
    makes_progress: Callable[[], bool] = _yes
    """Whether what is due is done in time."""
