"""What the handlers of requests and the workers share."""

import asyncio
from dataclasses import dataclass, field

from flamingo_batches.contents import Contents
from flamingo_batches.settings import Settings
from flamingo_batches.store.database import Database
from flamingo_common.service.drain_gate import DrainGate


@dataclass(slots=True)
class State:
    """One replica's connections, and how its parts wake each other."""

    settings: Settings
    database: Database
    contents: Contents
    drain_gate: DrainGate = field(default_factory=DrainGate)
    is_migrated: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the database has this release's schema."""
    has_work: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by a request that created or cancelled a batch."""
    has_failed: bool = False
    """Whether the work on batches ended with an error, so that the process has to end."""
