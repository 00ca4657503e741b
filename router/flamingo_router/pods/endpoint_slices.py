"""The EndpointSlices of a Service: the addresses of its pods, and which may get requests.

A pod that is terminating finishes its requests and gets no new ones. A condition that is
missing has the value that the API's documentation gives it: ready, not terminating.

Pure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Slice = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Service:
    """The Service whose EndpointSlices are watched."""

    namespace: str
    name: str
    port: str = ""
    """The port's name; empty: the first port."""

    @classmethod
    def parse(cls, text: str) -> "Service":
        """Return the Service that `NAMESPACE/SERVICE[:PORTNAME]` names.

        Raises:
            ValueError: `text` has another form.
        """
        path, _, port = text.partition(":")
        namespace, slash, name = path.partition("/")
        if not (slash and namespace and name) or "/" in name:
            raise ValueError(
                f"{text!r} is not a valid service; expected NAMESPACE/SERVICE[:PORTNAME]"
            )
        return cls(namespace, name, port)


@dataclass(slots=True)
class SliceCache:
    """The EndpointSlices of one Service, as they were last received."""

    _by_name: dict[str, Slice] = field(default_factory=dict)

    def replace(self, items: Iterable[Slice]) -> None:
        """Replace all slices with those of a list."""
        self._by_name = {_name(each): each for each in items}

    def apply(self, kind: str, changed: Slice) -> None:
        """Apply one event of a watch."""
        if kind == "DELETED":
            self._by_name.pop(_name(changed), None)
        elif kind in ("ADDED", "MODIFIED"):
            self._by_name[_name(changed)] = changed

    def members(self, port: str) -> dict[str, bool]:
        """Return each pod's address, and whether it may get requests."""
        family = self._address_type()
        found: dict[str, bool] = {}
        for each in self._by_name.values():
            number = _port_number(each, port)
            if each.get("addressType") != family or number is None:
                continue
            for endpoint in each.get("endpoints") or ():
                for address in _addresses(endpoint, number):
                    found[address] = found.get(address, False) or _is_open(endpoint)
        return found

    def _address_type(self) -> str:
        """Return the address type to use: a dual-stack pod must not count twice."""
        types = {
            each.get("addressType") for each in self._by_name.values() if each.get("endpoints")
        }
        return "IPv6" if types == {"IPv6"} else "IPv4"


def _name(each: Slice) -> str:
    return str(each["metadata"]["name"])


def _port_number(each: Slice, name: str) -> int | None:
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
