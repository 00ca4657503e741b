"""The errors that a server returns, as exception classes: `except errors.RateLimited: …`."""

from flamingo_common.errors import *  # noqa: F403 - re-exported under the package's public name
