"""Removes files that have expired, and contents that nothing refers to."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta

from flamingo_batches import ids
from flamingo_batches.state import State
from flamingo_batches.store import batches, files
from flamingo_common.service import logs

INTERVAL_S = 60.0
CONTENTS_INTERVAL_S = 6 * 3600.0
"""Listing a bucket costs money."""
YOUNG = timedelta(hours=24)
"""An upload that is written may not be in the database yet."""
PAGE = 500
STAGED = "*#*"
"""How a directory's unfinished objects are called."""


async def keep_sweeping(state: State) -> None:
    """Sweep again and again, until cancelled."""
    last_s = time.monotonic()
    while True:
        await asyncio.sleep(INTERVAL_S)
        try:
            await remove_expired(state)
            if time.monotonic() - last_s >= CONTENTS_INTERVAL_S:
                last_s = time.monotonic()
                await remove_unknown(state, older_than=datetime.now(UTC) - YOUNG)
        except Exception:  # noqa: BLE001 - the next sweep tries again
            logs.get().exception("sweep.failed")


async def remove_expired(state: State) -> None:
    """Remove the files that have expired."""
    while expired := await state.database.run(files.expired, PAGE, patience_s=None):
        for file_id in expired:
            await state.database.run(files.remove, file_id, patience_s=None)
            await state.contents.delete([ids.contents_path(file_id)])
        logs.get().info("files.expired", num=len(expired))


async def remove_unknown(state: State, *, older_than: datetime) -> int:
    """Remove contents of no file and chunks of no batch in progress; return how many."""
    num_removed = 0
    async for paths in _pages(state, "files", older_than):
        known = await state.database.run(files.known, [*map(_name, paths)], patience_s=None)
        # The results of a batch that is being finished are not in the database yet, but younger.
        num_removed += await _delete(state, [each for each in paths if _name(each) not in known])
    async for paths in _pages(state, "results", older_than):
        found = {path.split("/")[1] for path in paths}
        active = await state.database.run(batches.active, found, patience_s=None)
        gone = [path for path in paths if path.split("/")[1] not in active]
        num_removed += await _delete(state, gone)
    num_removed += await asyncio.to_thread(_remove_staged, state, older_than)
    return num_removed


async def _delete(state: State, paths: Collection[str]) -> int:
    await state.contents.delete(paths)
    return len(paths)


async def _pages(state: State, prefix: str, older_than: datetime) -> AsyncIterator[list[str]]:
    page: list[str] = []
    async for each in state.contents.list(prefix):
        if each.modified < older_than:
            page.append(each.path)
        if len(page) >= PAGE:
            yield page
            page = []
    if page:
        yield page


def _remove_staged(state: State, older_than: datetime) -> int:
    """Remove what killed processes were writing into a directory."""
    num_removed = 0
    folder = state.contents.folder
    for path in folder.rglob(STAGED) if folder else ():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < older_than.timestamp():
                path.unlink()
                num_removed += 1
    return num_removed


def _name(path: str) -> str:
    return path.rpartition("/")[2]
