"""Which FlamingoDeployments claim an alias Service.

Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flamingo_operator.api import names


@dataclass(frozen=True, slots=True)
class Neighbor:
    """Another FlamingoDeployment of the same namespace."""

    name: str
    uid: str
    alias: str = ""
    """The alias that it claims; empty if it claims none."""
    is_terminating: bool = False

    def needs(self, service_name: str) -> bool:
        """Whether a Service of this name is its alias, or one of its own."""
        is_own = not names.is_alias(self.name, service_name)
        return not self.is_terminating and (is_own or self.alias == service_name)


def parse_neighbor(body: Mapping[str, Any]) -> Neighbor:
    """Return what others need to know of a FlamingoDeployment."""
    metadata = body["metadata"]
    return Neighbor(
        name=metadata["name"],
        uid=str(metadata["uid"]),
        alias=claimed_alias(body),
        is_terminating="deletionTimestamp" in metadata,
    )


def claimed_alias(body: Mapping[str, Any]) -> str:
    """Return the alias that a FlamingoDeployment claims; empty if it claims none."""
    router = body.get("spec", {}).get("router", {})
    return str(router.get("service", {}).get("alias") or "")


@dataclass(slots=True)
class AliasClaims:
    """The aliases that FlamingoDeployments claim, by key; most claim none."""

    _claims: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, alias: str) -> None:
        """Record the alias that a FlamingoDeployment claims; empty if it claims none."""
        self._claims.pop(key, None)
        if alias:
            self._claims[key] = alias

    def alias(self, key: str) -> str:
        """Return the alias that a FlamingoDeployment claims; empty if it claims none."""
        return self._claims.get(key, "")

    def claimants(self, namespace: str, alias: str = "") -> Iterator[str]:
        """Yield the keys of those in a namespace that claim this alias or, if empty, any."""
        for key, claimed in self._claims.items():
            if names.namespace_of(key) == namespace and alias in ("", claimed):
                yield key
