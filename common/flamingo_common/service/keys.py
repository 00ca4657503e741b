"""API keys, their permissions and limits, and the lookup of the key that a request presents.

A key is `fk-` and 256 random bits. Servers store only its SHA-256: the bits cannot be
guessed, so a slow hash would cost every request and protect nothing. The format of a key
file is in docs/security.md.

Pure: the file's text is an argument.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from flamingo_common.wire import reasons

PREFIX = "fk-"
MAX_KEYS = 1000
"""Each request is compared with all keys, which takes 0.1 ms."""
Permission = Literal["infer", "observe"]
"""`infer`: use the model. `observe`: read load, state of the fleet and metrics."""


class InvalidKeyFile(ValueError):
    """A key file is invalid; `errors` has a message for each error, without any key."""

    def __init__(self, errors: Sequence[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


class Key(BaseModel):
    """One key. A caller may have several keys of one name, to rotate them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Name of the caller, in logs and metrics; also the scope of cached states."""
    sha256: Annotated[str, StringConstraints(strip_whitespace=True)] = Field(
        pattern=r"^[0-9a-f]{64}$", repr=False
    )
    """SHA-256 of the key, in lower-case hexadecimal."""
    weight: float = Field(default=1.0, gt=0, le=1000)
    """Share of a busy fleet, relative to the weights of other callers."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Maximum requests in flight, for all keys of this name together; default: unlimited."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    """Rate limit of requests; default: unlimited."""
    audio_seconds_per_minute: float | None = Field(default=None, gt=0)
    """Rate limit of audio; default: unlimited."""
    may: frozenset[Permission] = frozenset({"infer"})
    """Permissions of the key."""

    @property
    def terms(self) -> dict[str, Any]:
        """All settings except the key itself, which are the same for all keys of one name."""
        return self.model_dump(exclude={"sha256"})


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = Field(min_length=1, max_length=MAX_KEYS)


class Keyring:
    """All keys of a file."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        self._digests = [(key, bytes.fromhex(key.sha256)) for key in keys]

    @property
    def names(self) -> Mapping[str, Key]:
        """One key of each name."""
        return {key.name: key for key in self.keys}

    def find(self, presented: bytes) -> Key | None:
        """Return the key that equals `presented`; None if there is none.

        Compares all keys, each in constant time, so that the duration discloses neither
        which key matched nor how much of a key was right.
        """
        digest = hashlib.sha256(presented).digest()
        found = None
        for key, expected in self._digests:
            if hmac.compare_digest(digest, expected):
                found = key
        return found


def digest_of(key: str) -> str:
    """Return the SHA-256 of `key` as in a key file."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(text: bytes) -> Keyring:
    """Return the keys of a YAML or JSON file.

    Raises:
        InvalidKeyFile: lists all errors, without quoting the file.
    """
    try:
        content = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        # Its message quotes the file, which can contain a key in clear text.
        mark = error.problem_mark
        raise InvalidKeyFile([f"line {mark.line + 1 if mark else '?'}: invalid YAML"]) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidKeyFile(["invalid YAML"]) from None
    try:
        file = _File.model_validate(content)
    except ValidationError as error:
        raise InvalidKeyFile([*_messages(error)]) from None
    if conflicts := [*_conflicts(file.keys)]:
        raise InvalidKeyFile(conflicts)
    return Keyring(file.keys)


def _messages(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        is_unknown = detail["type"] == "extra_forbidden"
        reason = "is unknown" if is_unknown else reasons.reason_of(detail, _File)
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in detail["loc"])
        yield f"{''.join(steps).removeprefix('.') or 'file'}: {reason}"


def _conflicts(keys: Sequence[Key]) -> Iterator[str]:
    """Yield a message for each conflict between entries."""
    first_of: dict[str, int] = {}
    first_with: dict[str, int] = {}
    for number, key in enumerate(keys):
        other = first_of.setdefault(key.name, number)
        if key.terms != keys[other].terms:
            yield f"keys[{number}]: {key.name!r} must have the same settings as in keys[{other}]"
        same = first_with.setdefault(key.sha256, number)
        if same != number:
            yield f"keys[{number}]: duplicate of the key in keys[{same}]"
