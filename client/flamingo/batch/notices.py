"""What a batch reports beside its results, as warnings of the logger `flamingo.batch`."""

import logging
from collections.abc import Callable

Notify = Callable[[str], None]
"""Report one line, for example that a torn last line was cut off."""

log: Notify = logging.getLogger("flamingo.batch").warning
