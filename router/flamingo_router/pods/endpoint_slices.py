"""EndpointSlices of a Service → the addresses of its pods, and which may get work.

A pod that terminates finishes what it has and gets nothing new. A condition that is
not told counts as the API's documentation says: ready, serving, not terminating.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Slice = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """Whose slices are looked at."""

    namespace: str
    name: str
    port: str = ""
    """The port's name; empty: the first."""

    @classmethod
    def parse(cls, text: str) -> "Service":
        """Return what `NAMESPACE/SERVICE[:PORTNAME]` says.

        Raises:
            ValueError: it is not of that form.
        """
        path, _, port = text.partition(":")
        namespace, slash, name = path.partition("/")
        if not (slash and namespace and name) or "/" in name:
            raise ValueError(
                f"{text!r} is not a valid service; expected NAMESPACE/SERVICE[:PORTNAME]"
            )
        return cls(namespace, name, port)


@dataclass(slots=True)
class Slices:
    """All slices of one Service, as they were last heard of."""

    _by_name: dict[str, Slice] = field(default_factory=dict)

    def replace(self, items: Iterable[Slice]) -> None:
        """Know these and no others: a list was read."""
        self._by_name = {_name(each): each for each in items}

    def apply(self, kind: str, each: Slice) -> None:
        """Take in one change of a watch."""
        if kind == "DELETED":
            self._by_name.pop(_name(each), None)
        elif kind in ("ADDED", "MODIFIED"):
            self._by_name[_name(each)] = each

    def members(self, port: str) -> dict[str, bool]:
        """Return each pod's address, and whether it may get work."""
        family = self._family()
        found: dict[str, bool] = {}
        for each in self._by_name.values():
            number = _port(each, port)
            if each.get("addressType") != family or number is None:
                continue
            for endpoint in each.get("endpoints") or ():
                for address in _addresses(endpoint, number):
                    found[address] = found.get(address, False) or _is_open(endpoint)
        return found

    def _family(self) -> str:
        """Return the kind of address to use: a pod with two must not count twice."""
        kinds = {
            each.get("addressType") for each in self._by_name.values() if each.get("endpoints")
        }
        return "IPv6" if kinds == {"IPv6"} else "IPv4"


def _name(each: Slice) -> str:
    return str(each["metadata"]["name"])


def _port(each: Slice, name: str) -> int | None:
    for port in each.get("ports") or ():
        if port.get("port") and (not name or port.get("name") == name):
            return int(port["port"])
    return None


def _addresses(endpoint: Mapping[str, Any], port: int) -> list[str]:
    first = list(endpoint.get("addresses") or ())[:1]  # the API: all are the same endpoint
    return [f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}" for host in first]


def _is_open(endpoint: Mapping[str, Any]) -> bool:
    conditions = endpoint.get("conditions") or {}
    is_ready = conditions.get("ready")
    return is_ready is not False and not conditions.get("terminating")
