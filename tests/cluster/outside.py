"""A fleet that is also reached from outside: through an Ingress with TLS, as the docs set it up."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from cluster import charts, ingress
from cluster.fleets import BASE, NAME, Fleet
from cluster.traffic import Door, Traffic, traffic
from documents import pages

MODEL = "flamingo-tiny"


@dataclass(frozen=True)
class Outside:
    """The fleet, its two addresses, and what was asked while it got the second one."""

    fleet: Fleet
    host: str
    address: str
    authority: Path
    upgrade: Traffic

    @property
    def doors(self) -> list[Door]:
        """Return the Service and the Ingress."""
        return [Door(self.fleet.address), self.ingress]

    @property
    def ingress(self) -> Door:
        return Door(f"https://{self.address}", self.host, self.authority)

    def traffic(self, clip: bytes) -> contextlib.AbstractContextManager[Traffic]:
        """Ask at both while the block lasts."""
        return traffic(self.fleet.cluster, self.doors, clip)


def documented() -> dict[str, Any]:
    """Return the Ingress of the docs, whose annotations are those that a fleet needs."""
    (text, *_) = (
        one.text
        for block in pages.blocks_of("docs/networking.md")
        for one in block.commands
        if one.headings[-1] == "Ingress" and one.language == "yaml"
    )
    return yaml.safe_load(text)["spec"]["router"]["ingress"]


def values() -> dict[str, Any]:
    """Return the chart's values for a fleet with GPUs and an Ingress."""
    return {"model": {"id": MODEL}, **BASE, "router": {"ingress": documented()}}


@contextlib.contextmanager
def exposed(fleet: Fleet, clip: bytes, folder: Path) -> Iterator[Outside]:
    """Upgrade a fleet that has no Ingress to one that has, and yield it."""
    wanted = documented()
    (host,) = wanted["hosts"]
    files = ingress.certified(host, folder)
    given = ("tls", wanted["tlsSecretName"], f"--cert={files.certificate}", f"--key={files.key}")
    fleet.kubectl("create", "secret", *given)
    with traffic(fleet.cluster, [Door(fleet.address)], clip) as asked:
        charts.upgrade_fleet(fleet.cluster, NAME, fleet.namespace, values())
    with ingress.controller(fleet.cluster, fleet.namespace, NAME, folder) as address:
        yield Outside(fleet, host, address, files.authority, asked)
