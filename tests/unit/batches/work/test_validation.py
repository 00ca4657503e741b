"""Validation of a batch's input."""

import asyncio

from fakes.cancelled import waits_for_its_thread

from flamingo_batches.work import validation
from flamingo_batches.work.spool import InputSpool


def test_a_check_that_is_cancelled_has_ended_before_the_input_is_closed():
    async def scenario():
        with InputSpool() as spool:
            # Without a batch the check fails; whoever has cancelled it is not told.
            return await waits_for_its_thread(lambda: validation.validate(None, None, None, spool))

    assert asyncio.run(scenario())
