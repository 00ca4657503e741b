"""A folder that `load_dataset("audiofolder")` of Hugging Face reads: clips, and `metadata.jsonl`.

The clips are links to those of the source. Items without a result are in `errors.jsonl`: the
metadata may only name clips that are there.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.outputs.jsonl import JsonlOutput
from flamingo.batch.storage import names
from flamingo_common.errors import BadRequest
from flamingo_common.service import printable

METADATA = "metadata.jsonl"
ERRORS = "errors.jsonl"


class AudioFolderOutput:
    """A folder with `metadata.jsonl`; its lines have the columns of the source, and ours."""

    def __init__(self, folder: Path, clip_path: Callable[[str], Path | None]) -> None:
        """Write to `folder`; `clip_path` returns the path of the clip at a location, if it has one.

        Raises:
            BadRequest: the folder has metadata that a batch did not write.
        """
        self._folder = folder
        self._clip_path = clip_path
        self._results = JsonlOutput(folder / METADATA)
        self._errors = JsonlOutput(folder / ERRORS)

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield all results and errors; see `Output`."""
        yield from self._results.recorded_items(repair=repair)
        yield from self._errors.recorded_items(repair=repair)

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Link the clips of results, and record all outcomes; see `Output`."""
        results = [one for one in outcomes if one.error is None]
        errors = [one for one in outcomes if one.error is not None]
        for one in results:
            self._link(one)
        if results:
            self._results.append(results)
        if errors:
            self._errors.append(errors)

    def close(self) -> None:
        """Close both files; idempotent."""
        self._results.close()
        self._errors.close()

    def forget_failed(self) -> None:
        """Remove all errors; see `Output`."""
        self._errors.forget_failed()

    def _link(self, outcome: Outcome) -> None:
        name = outcome.columns.get("file_name")
        clip = self._clip_path(outcome.location)
        if clip is None or not isinstance(name, str) or names.problem_of(name) is not None:
            shown = printable.escape_line(outcome.key)
            raise BadRequest(
                f"{shown}: a dataset for AudioFolder needs clips that are files with a file_name"
                " column, as a folder has them; write another format, such as Parquet"
            )
        link = self._folder / name
        if link.exists() or link.is_symlink():  # the source is this folder, or a killed run did it
            return
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.abspath(clip))  # noqa: PTH100 - a link of a link stays one
