"""A pod that answers some requests, and holds the others until it is released."""

import asyncio
from dataclasses import dataclass, field

from fakes import pods


@dataclass
class HoldingPod(pods.FakePod):
    """Holds every request after the first ones."""

    num_answered: int = 0
    """How many it answers at once."""
    is_holding: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it holds a request."""
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def _answer(self, request):
        self.num_answered -= 1
        if self.num_answered < 0 and not self.may_answer.is_set():
            self.is_holding.set()
            await self.may_answer.wait()
        return await super()._answer(request)
