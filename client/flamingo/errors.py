"""The errors that a server answers with, as classes to catch: `except errors.RateLimited`."""

from flamingo_common.errors import *  # noqa: F403 - the public name of the same module
