"""Text files beside the clips, as trainers of music models read them.

`NAME.caption.txt` has the caption. An answer that is a JSON object becomes `NAME.json`, as ACE-Step
reads `bpm`, `keyscale`, `timesignature` and `language`; any other is `NAME.LABEL.txt`, such as
`NAME.lyrics.txt`. Tags are `NAME.tags.json`. Answers to several questions have files of their names
(`answer_files.py`).
"""

import json
from collections.abc import Iterator, Sequence

from flamingo.batch import notices
from flamingo.batch.keys import SEEN, KeyTable
from flamingo.batch.notices import Notify
from flamingo.batch.outcomes import Outcome, RecordedItem
from flamingo.batch.output import Output
from flamingo.batch.outputs import answer_files
from flamingo.batch.outputs.file_names import clip_name
from flamingo.batch.storage import names
from flamingo.batch.storage.storage import Storage
from flamingo_common.audio import formats
from flamingo_common.service import printable


class Sidecars:
    """Writes sidecars, and then records the outcomes in another output.

    What is recorded has its sidecars. Two clips whose names differ only in the suffix cannot share
    `NAME`: the second one's sidecars have its whole name, `song.flac.caption.txt`.
    """

    def __init__(
        self, output: Output, storage: Storage, *, label: str, notify: Notify = notices.log
    ) -> None:
        """Write to `storage`, and record in `output`; `label` is what an answer is."""
        self._output = output
        self._storage = storage
        self._label = label
        self._notify = notify
        self._names = KeyTable()

    def recorded_items(self, *, repair: bool = True) -> Iterator[RecordedItem]:
        """Yield what is recorded; see `Output`."""
        self._names = KeyTable()
        for item in self._output.recorded_items(repair=repair):
            self._names.add(_stem(clip_name(item.key)), SEEN)
            yield item

    def append(self, outcomes: Sequence[Outcome]) -> None:
        """Write the sidecars of results, and record all outcomes; see `Output`."""
        for outcome in outcomes:
            if outcome.result is not None:
                name = self._name(outcome.key)
                for suffix, text in sidecars(outcome, self._label):
                    self._storage.write(name + suffix, text.encode("utf-8", "backslashreplace"))
        self._output.append(outcomes)

    def close(self) -> None:
        """Close the output; idempotent."""
        self._output.close()

    def forget_failed(self) -> None:
        """Remove all errors; see `Output`."""
        self._output.forget_failed()

    def _name(self, key: str) -> str:
        whole = clip_name(key)
        name = _stem(whole)
        if self._names.add(name, SEEN) == 0:
            return name
        shown = printable.escape_line(whole)
        self._notify(f"another clip has the name of {shown}; its sidecars are {shown}.…")
        return whole


def sidecars(outcome: Outcome, label: str) -> Iterator[tuple[str, str]]:
    """Yield the suffix and the text of each sidecar of a result."""
    result = outcome.result
    if result is None:
        return
    if result.caption is not None:
        yield ".caption.txt", result.caption + "\n"
    if result.answer is not None:
        is_object = _is_object(result.answer)
        yield (".json" if is_object else f".{label}.txt"), result.answer + "\n"
    if result.tags:
        tags = {name: dict(one) for name, one in result.tags.items()}
        yield ".tags.json", json.dumps(tags, ensure_ascii=False) + "\n"
    yield from answer_files.files(result.answers, result.audio_s)


def _stem(name: str) -> str:
    """Return the name of a clip without its suffix; `list.csv:17` and `Op. 9` have none."""
    return names.stem(name) if formats.has_audio_extension(name) else name


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
