"""In which namespaces FlamingoDeployments can be listed; the others are tried again and again.

A namespace that does not exist yet, was deleted, or in which the operator has no permissions must
not keep it from the others.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flamingo_common.service import logs
from flamingo_common.service.backoff import backoff_s
from flamingo_operator.api import names
from flamingo_operator.cluster import discovery, kinds
from flamingo_operator.cluster.kube import NOT_FOUND, ApiError, KubeClient

FIRST_RETRY_S, MAX_RETRY_S = 1.0, 30.0
UNCHECKED = "the CustomResourceDefinition was not looked for yet"
OnRefusal = Callable[[str, str, bool], None]


@dataclass(slots=True)
class ResourceScopes:
    """The namespaces to watch, or one empty name for all, and which of them are refused."""

    kube: KubeClient
    scopes: Sequence[str]
    on_refusal: OnRefusal
    """Receives the kind, a namespace, and whether the API server refuses to list it there."""
    problem: str = UNCHECKED
    """Why no FlamingoDeployment can be listed at all; empty if some can."""
    refusals: dict[str, str] = field(default_factory=dict)
    """Why they cannot be listed, by namespace."""

    async def check(self) -> list[str]:
        """Return the namespaces in which FlamingoDeployments can be listed.

        Raises:
            ApiError: there is none, the kind is not served, or there was no response.
        """
        try:
            found = await self._listable()
        except ApiError as error:
            self.problem = error.message
            raise
        self.problem = ""
        return found

    async def _listable(self) -> list[str]:
        if not await discovery.is_served(self.kube, kinds.RESOURCE):
            message = f"CustomResourceDefinition {names.CRD} is not installed"
            raise ApiError(NOT_FOUND, message)
        for scope in self.scopes:
            await self._try(scope)
        if len(self.refusals) == len(self.scopes):
            raise ApiError(0, "; ".join(self.refusals.values()))
        return [scope for scope in self.scopes if scope not in self.refusals]

    async def wait_until_one_returns(self) -> None:
        """Return when a namespace that was refused can be listed."""
        num_tries = 0
        while True:
            num_tries += 1
            wait_s = backoff_s(num_tries, first_s=FIRST_RETRY_S, max_s=MAX_RETRY_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            refused = list(self.refusals)
            if not refused:
                num_tries = 0
            for scope in refused:
                try:
                    await self._try(scope)
                except ApiError as error:
                    logs.get().warning("resources.not_listed", error=error.message)
                if scope not in self.refusals:
                    return

    async def _try(self, scope: str) -> None:
        """Try to list one namespace, and record the result."""
        try:
            await self.kube.get(kinds.RESOURCE.path(scope), {"limit": "1"})
        except ApiError as error:
            if not error.is_refusal:
                raise
            self.record(scope, error.message)
        else:
            self.record(scope, "")

    def record(self, scope: str, refusal: str) -> None:
        """Record why a namespace cannot be listed, or (empty) that it can."""
        if refusal and self.refusals.get(scope) != refusal:
            logs.get().error("resources.refused", namespace=scope, error=refusal)
        if refusal:
            self.refusals[scope] = refusal
        elif self.refusals.pop(scope, ""):
            logs.get().info("resources.accepted", namespace=scope)
        self.on_refusal(kinds.RESOURCE.name, scope, bool(refusal))
