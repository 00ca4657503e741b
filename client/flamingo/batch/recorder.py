"""Where a batch is recorded: its output, its state file and the list of unfinished items."""

import contextlib
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flamingo.batch import identity, records
from flamingo.batch.failures import OutputFailed
from flamingo.batch.identity import Identity
from flamingo.batch.keys import FAILED, FINISHED, KeyTable
from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.output import Output
from flamingo.batch.state import StateFile
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

MAX_FAILURES_KEPT = 10
"""Of earlier runs, with their messages."""


@dataclass(frozen=True)
class Recording:
    """An output and the local file that says what it is about."""

    output: Output
    state_path: Path
    """Unfinished items are listed beside it, in `….unfinished.jsonl`, anew in each run."""
    accept_changed: bool = False
    """Continue although the source has changed since an earlier run."""
    retry_failed: bool = False
    """Process items again that have failed in earlier runs."""


class Recorder:
    """Records outcomes in the order in which they are added."""

    def __init__(self, recording: Recording) -> None:
        self._output = recording.output
        self._accept_changed = recording.accept_changed
        self._retry_failed = recording.retry_failed
        self._state_path = recording.state_path
        self._unfinished_path = recording.state_path.with_suffix(".unfinished.jsonl")
        self._state: StateFile | None = None
        self._pending: list[Outcome] = []
        self._num_recorded = 0
        self._has_failed = False
        self.failed_before: list[RecordedItem] = []
        """The first items that earlier runs have recorded as failed."""
        self._adding = threading.Lock()
        self._writing = threading.Lock()

    def open(self, now: Identity) -> KeyTable:
        """Lock the output for this run; return the keys that earlier runs have finished.

        Raises:
            BadRequest: another run holds the lock, or the output has other results.
        """
        self._state = StateFile(self._state_path)
        with self._translated_errors():
            keys = self._read_keys()
            self._check(self._state, now)
            self._state.write(now)
            if self._retry_failed:
                self._output.forget_failed()
                keys = self._read_keys()
            self._unfinished_path.unlink(missing_ok=True)
        return keys

    def add(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes to those that the next `flush` records."""
        with self._adding:
            self._pending += outcomes

    def flush(self) -> None:
        """Record what was added; when this returns, it survives a kill. Threads may call it.

        Raises:
            OutputFailed: the output cannot be written; what was recorded before is kept.
        """
        with self._writing:
            with self._adding:
                outcomes, self._pending = self._pending, []
            if self._has_failed or not outcomes:
                return
            finished = [one for one in outcomes if one.is_finished]
            with self._translated_errors():
                if finished:
                    self._output.append(finished)
                self._num_recorded += len(finished)
                self._list_unfinished(one for one in outcomes if not one.is_finished)

    def close(self) -> None:
        """Record what was added, and release output and lock; idempotent."""
        try:
            self.flush()
        finally:
            with self._writing:
                try:
                    with self._translated_errors():
                        self._output.close()
                finally:
                    if self._state is not None:
                        self._state.close()

    def _read_keys(self) -> KeyTable:
        keys = key_table(self._keep_failed(self._output.recorded_items()))
        self._num_recorded = len(keys)
        return keys

    def _keep_failed(self, items: Iterable[RecordedItem]) -> Iterator[RecordedItem]:
        self.failed_before = []
        for item in items:
            if item.failure is not None and len(self.failed_before) < MAX_FAILURES_KEPT:
                self.failed_before.append(item)
            yield item

    def _check(self, state: StateFile, now: Identity) -> None:
        before = state.read()
        if before is not None and self._accept_changed:
            before = {**before, "source": now.source}
        problem = identity.problem(before, now, has_results=self._num_recorded > 0)
        if problem is not None:
            shown = printable.escape_line(str(self._state_path))
            raise BadRequest(
                f"cannot continue the output of {shown}: {problem}. Write to another output, or"
                " move this one away with its state file"
            )

    def _list_unfinished(self, outcomes: Iterable[Outcome]) -> None:
        lines = [json.dumps(records.record(outcome)) + "\n" for outcome in outcomes]
        if lines:
            with self._unfinished_path.open("a", encoding="utf-8") as file:
                file.writelines(lines)

    @contextlib.contextmanager
    def _translated_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._has_failed = True
            reason = (error.strerror or str(error)).lower()
            where = printable.escape_line(str(error.filename or self._state_path))
            raise OutputFailed(
                f"cannot write the output ({where}: {reason}). The {self._num_recorded} results"
                " that it has are kept; remove the cause, and run the batch again to continue"
            ) from error


def key_table(items: Iterable[RecordedItem]) -> KeyTable:
    """Return the keys of recorded items, with the flags of what became of them."""
    keys = KeyTable()
    for item in items:
        keys.add(item.key, FINISHED if item.failure is None else FINISHED | FAILED)
    return keys
