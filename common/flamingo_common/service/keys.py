"""API keys: who may ask, for what and how much; and who holds the key that came.

A key is `fk-` and 256 random bits. Servers know only its SHA-256: the bits cannot
be guessed, so a slow hash would cost every request and protect nothing. What a key
file looks like: docs/security.md.

Pure: the file's text is an argument.
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "fk-"
MAX_KEYS = 1000
"""All are compared with each request: a tenth of a millisecond."""
Permission = Literal["infer", "observe"]
"""`infer`: ask the model. `observe`: read load, fleet and metrics."""


class InvalidKeyFile(ValueError):
    """A key file that cannot be used; `faults` has a sentence for each reason, and no key."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class Key(BaseModel):
    """One key. Two of the same name are one caller's: the old and the new, while he changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")
    """Stands in logs and metrics, and says who shares what is cached."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", repr=False)
    """Of the key, in lower-case hexadecimal."""
    weight: float = Field(default=1.0, gt=0, le=1000)
    """Share of a busy fleet, beside the other names' weights."""
    max_concurrent: int | None = Field(default=None, ge=1)
    """Requests held at once, by all keys of this name."""
    requests_per_minute: float | None = Field(default=None, gt=0)
    audio_seconds_per_minute: float | None = Field(default=None, gt=0)
    may: frozenset[Permission] = frozenset({"infer"})

    @property
    def terms(self) -> dict[str, Any]:
        """All that keys of one name have in common."""
        return self.model_dump(exclude={"sha256"})


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[Key] = Field(min_length=1, max_length=MAX_KEYS)


class Keyring:
    """All the keys of a file."""

    def __init__(self, keys: Sequence[Key]) -> None:
        self.keys = tuple(keys)
        self._digests = [(key, bytes.fromhex(key.sha256)) for key in keys]

    @property
    def names(self) -> Mapping[str, Key]:
        """By name, the terms: those of any of its keys."""
        return {key.name: key for key in self.keys}

    def find(self, presented: bytes) -> Key | None:
        """Return the key that `presented` is; None when it is none of them.

        All are looked at, each in constant time: how long it takes says neither which
        key it was nor how much of one was right.
        """
        digest = hashlib.sha256(presented).digest()
        found = None
        for key, expected in self._digests:
            if hmac.compare_digest(digest, expected):
                found = key
        return found


def digest_of(key: str) -> str:
    """Return what a key file says of `key`."""
    return hashlib.sha256(key.encode()).hexdigest()


def parse(text: bytes) -> Keyring:
    """Return the keys of a file, YAML or JSON.

    Raises:
        InvalidKeyFile: with all that is wrong with it, and no word of what stands there.
    """
    try:
        told = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        # Its text quotes the file; a key may have been put there in the clear.
        mark = error.problem_mark
        raise InvalidKeyFile([f"line {mark.line + 1 if mark else '?'}: not valid YAML"]) from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise InvalidKeyFile(["not valid YAML"]) from None
    try:
        file = _File.model_validate(told)
    except ValidationError as error:
        raise InvalidKeyFile([*_faults(error)]) from None
    if faults := [*_conflicts(file.keys)]:
        raise InvalidKeyFile(faults)
    return Keyring(file.keys)


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in fault["loc"])
        yield f"{''.join(steps).removeprefix('.') or 'file'}: {fault['msg']}"


def _conflicts(keys: Sequence[Key]) -> Iterator[str]:
    """Yield what no single entry can see."""
    first_of: dict[str, int] = {}
    seen: dict[str, int] = {}
    for number, key in enumerate(keys):
        other = first_of.setdefault(key.name, number)
        if key.terms != keys[other].terms:
            yield f"keys[{number}]: {key.name!r} has other terms than in keys[{other}]"
        twin = seen.setdefault(key.sha256, number)
        if twin != number:
            yield f"keys[{number}]: the same key as keys[{twin}]"
