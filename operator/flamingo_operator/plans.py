"""What paused deployments wait for, computed in a thread and only if it may have changed.

A forecast of hundreds of pods takes seconds. In the event loop it would delay the renewal of the
Lease, the probes and all other deployments.
"""

import asyncio
from dataclasses import dataclass, field, replace

from flamingo_operator.api.spec import FlamingoDeployment
from flamingo_operator.cluster.observed import Observed
from flamingo_operator.decide import Decision
from flamingo_operator.forecast import Forecast, fingerprint, forecast
from flamingo_operator.manifests.common import Release


@dataclass(frozen=True, slots=True)
class PlanInputs:
    """All that the forecast of a paused deployment depends on."""

    deployment: FlamingoDeployment
    observed: Observed
    release: Release
    decision: Decision
    """What the operator would do first."""
    now_s: float

    def forecast(self) -> Forecast:
        """Return what the operator would do if the deployment were not paused."""
        desired = self.decision.desired
        return forecast(self.deployment, self.observed, self.release, desired, self.now_s)


@dataclass(slots=True)
class Plans:
    """The last forecast of each paused deployment, and what it was computed from."""

    _known: dict[str, tuple[tuple[object, ...], Forecast]] = field(default_factory=dict)

    async def forecast(self, key: str, inputs: PlanInputs) -> Forecast:
        """Return what the operator would do if the deployment were not paused."""
        depends_on = fingerprint(inputs.deployment, inputs.observed, inputs.decision)
        known_for, planned = self._known.get(key, (None, None))
        if planned is None or known_for != depends_on:
            # The store changes its nodes meanwhile.
            observed = replace(inputs.observed, nodes=dict(inputs.observed.nodes))
            planned = await asyncio.to_thread(replace(inputs, observed=observed).forecast)
            self._known[key] = (depends_on, planned)
        return planned

    def forget(self, key: str) -> None:
        """Forget a deployment that is gone."""
        self._known.pop(key, None)
