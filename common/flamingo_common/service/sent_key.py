"""Reads the API key that a service sends to another, from a setting or a file that can change."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import hdrs
from pydantic import SecretStr

from flamingo_common.service import key_text
from flamingo_common.service.reloading_file import ReloadingFile


def parse_sent_key(text: bytes) -> SecretStr:
    """Return the key in the contents of a file.

    Raises:
        ValueError: as `key_text.clean`.
    """
    return SecretStr(key_text.decode(text))


class SentKey:
    """A key from a setting, or from a file that is reloaded when it changes; or none."""

    def __init__(self, key: SecretStr | None, key_file: Path | None) -> None:
        """Read `key_file`, if it is set; it takes precedence over `key`.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file has no valid key.
        """
        self._key = key
        self.file = ReloadingFile(key_file, parse_sent_key) if key_file else None

    @property
    def headers(self) -> Mapping[str, str]:
        """The authorization header; empty where there is no key."""
        key = self.file.value if self.file else self._key
        return {hdrs.AUTHORIZATION: f"Bearer {key.get_secret_value()}"} if key else {}
