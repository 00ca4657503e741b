"""A list of clips: paths of this machine, and URLs."""

import os
from collections.abc import Iterable, Iterator

from flamingo.batch.items import Entry, Item
from flamingo.batch.sources.url_keys import key_of_url
from flamingo.batch.storage import location


class PathList:
    """Paths and http(s) URLs, which are also the keys; those of URLs have no credentials."""

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        """`paths` is iterated once in each run, while the batch runs.

        Raises:
            TypeError: it is one path.
        """
        if isinstance(paths, str | bytes | os.PathLike):
            raise TypeError(
                f"clips must be several paths, as in [{paths!r}], or a source: a folder or a table"
                f" is open_source({paths!r})"
            )
        self._paths = paths

    def items(self) -> Iterator[Entry]:
        """Return an iterator over the paths."""
        for path in self._paths:
            name = os.fspath(path)
            yield Item(key=key_of_url(name) if location.is_web(name) else name, location=name)

    def fingerprint(self) -> str:
        """Return the kind of source: a list may change between runs."""
        return "paths"

    def audio(self, item: Item) -> str:
        """Return the item's path or URL."""
        return item.location
