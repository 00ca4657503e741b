"""Reads the API key that load polling sends, from a setting or from a file that can change."""

import re
from collections.abc import Mapping
from pathlib import Path

from aiohttp import hdrs
from pydantic import SecretStr

from flamingo_common.service.reloading_file import ReloadingFile

_HEADER_SAFE = re.compile(r"[!-~]+")


def check_pod_key(value: SecretStr) -> SecretStr:
    """Return `value`, if it is valid in a header.

    Raises:
        ValueError: it is empty, or has whitespace or non-ASCII characters. The message does
            not contain it.
    """
    if not _HEADER_SAFE.fullmatch(value.get_secret_value()):
        raise ValueError("not a valid API key; expected ASCII without whitespace")
    return value


def parse_pod_key(text: bytes) -> SecretStr:
    """Return the key in the contents of a file.

    Raises:
        ValueError: as `check_pod_key`.
    """
    return check_pod_key(SecretStr(text.decode("ascii", "replace").strip()))


class PodKey:
    """A key from a setting, or from a file that is reloaded when it changes; or none."""

    def __init__(self, key: SecretStr | None, key_file: Path | None) -> None:
        """Read `key_file`, if it is set; it takes precedence over `key`.

        Raises:
            OSError: the file cannot be read.
            ValueError: the file has no valid key.
        """
        self._key = key
        self.file = ReloadingFile(key_file, parse_pod_key) if key_file else None

    @property
    def headers(self) -> Mapping[str, str]:
        """The authorization header; empty where there is no key."""
        key = self.file.value if self.file else self._key
        return {hdrs.AUTHORIZATION: f"Bearer {key.get_secret_value()}"} if key else {}
