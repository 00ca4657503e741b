"""The key that the router's own requests bring, where pods ask for one."""

from collections.abc import Mapping

from aiohttp import hdrs

from flamingo_common.service.reloading_file import LiveFile
from flamingo_router.settings import Settings, pod_key


class PodKey:
    """A key from a setting or, read anew when it changes, from a file; or none."""

    def __init__(self, settings: Settings) -> None:
        """Read the file, where there is one.

        Raises:
            OSError, ValueError: it cannot be read; holds no key.
        """
        path = settings.pod_key_file
        self._given = settings.pod_key
        self.file = LiveFile(path, pod_key) if path else None

    @property
    def headers(self) -> Mapping[str, str]:
        """What to send."""
        key = self.file.value if self.file else self._given
        return {hdrs.AUTHORIZATION: f"Bearer {key.get_secret_value()}"} if key else {}
