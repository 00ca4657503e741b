"""The API key that the router's own requests bring, where pods ask for one."""

import re
from collections.abc import Mapping
from pathlib import Path

from aiohttp import hdrs
from pydantic import SecretStr

from flamingo_common.service.reloading_file import ReloadingFile

_SECRET = re.compile(r"[!-~]+")


def secret(value: SecretStr) -> SecretStr:
    """Return a key that may stand in a header.

    Raises:
        ValueError: it is empty, or holds a blank or anything but ASCII; does not quote it.
    """
    if not _SECRET.fullmatch(value.get_secret_value()):
        raise ValueError("not an API key: one word of ASCII")
    return value


def pod_key(text: bytes) -> SecretStr:
    """Return the key in the text of a file.

    Raises:
        ValueError: as `secret`.
    """
    return secret(SecretStr(text.decode("ascii", "replace").strip()))


class PodKey:
    """A key from a setting or, read anew when it changes, from a file; or none."""

    def __init__(self, key: SecretStr | None, key_file: Path | None) -> None:
        """Read `key_file`, where there is one; it wins over `key`.

        Raises:
            OSError, ValueError: it cannot be read; holds no key.
        """
        self._key = key
        self.file = ReloadingFile(key_file, pod_key) if key_file else None

    @property
    def headers(self) -> Mapping[str, str]:
        """What to send."""
        key = self.file.value if self.file else self._key
        return {hdrs.AUTHORIZATION: f"Bearer {key.get_secret_value()}"} if key else {}
