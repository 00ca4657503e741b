"""Who asks: what his requests may share with others'."""

from dataclasses import dataclass

from aiohttp import web

from flamingo.service import access


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller."""

    salt: bytes = b""
    """His key's name: callers of another name share neither KV nor encoded audio with him."""


NOBODY = Caller()
"""Everybody, where no keys are asked for."""


def of(request: web.Request) -> Caller:
    """Return who sent `request`."""
    key = access.caller(request)
    return NOBODY if key is None else Caller(salt=key.name.encode())
