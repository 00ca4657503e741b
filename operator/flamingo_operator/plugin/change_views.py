"""What `plan` and `history` print, for a terminal of 80 columns.

Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rich.console import Group, RenderableType
from rich.text import Text

from flamingo_operator import forecast
from flamingo_operator.forecast import Forecast
from flamingo_operator.plugin import spec_diff
from flamingo_operator.plugin.revision_history import HistoryRow
from flamingo_operator.plugin.spec_diff import FieldChange
from flamingo_operator.plugin.views import age, indented, new_table

Json: TypeAlias = Mapping[str, Any]

MAX_ACTIONS = 20
STATE_STYLES = {"current": "green", "failed": "red", "rolling out": "yellow"}


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """What applying a manifest would change."""

    deployment: Json
    """The FlamingoDeployment as it would be stored."""
    is_new: bool
    changes: Sequence[FieldChange]
    causes: Sequence[str]
    """The fields that change the server pods."""
    expected: Forecast | None
    """What the operator would do; None if that is not known."""


def plan(planned: PlannedChange) -> RenderableType:
    """Return what a manifest does, which fields it changes, and what the operator does then."""
    parts: list[RenderableType] = [Text(planned.deployment["metadata"]["name"], "bold")]
    parts += [indented(Text(one), 2) for one in _effects(planned)]
    if planned.changes and not planned.is_new:
        table = new_table("field", "before", "after", fold="after")
        for one in planned.changes:
            # As text: rich reads a path such as spec.server.volumes[cache] as markup.
            field = Text(one.field)
            table.add_row(field, Text(one.before, "red"), Text(one.after, "green"))
        parts += [Text(), table]
    actions = planned.expected.actions if planned.expected is not None else ()
    if actions:
        parts += [Text(), Text("Actions of the operator", "bold")]
        parts += [Text(f"  {one}") for one in actions[:MAX_ACTIONS]]
    if len(actions) > MAX_ACTIONS:
        parts += [Text(f"  and {len(actions) - MAX_ACTIONS} more")]
    return Group(*parts)


def _effects(planned: PlannedChange) -> Iterator[str]:
    """Yield what the change does, one line each."""
    spec, causes = planned.deployment["spec"], planned.causes
    rollout = spec.get("rollout") or {}
    if planned.is_new:
        yield "creates the FlamingoDeployment"
    elif not planned.changes:
        yield "no changes"
    if planned.expected is not None:
        yield from [] if planned.expected.is_empty else [forecast.summary(planned.expected)]
    elif planned.changes and not planned.is_new:
        yield f"replaces {'all' if causes else 'no'} server pods"
    if causes:
        strategy = rollout.get("strategy", "Auto")
        yield f"the server pods change because of {', '.join(causes)} (rollout strategy {strategy})"
    yield from _limits(spec)


def _limits(spec: Json) -> Iterator[str]:
    """Yield what limits or holds what the operator does."""
    minimum, maximum = spec_diff.scaling_range(spec)
    if minimum != maximum:
        yield f"scaling range: {minimum} to {maximum} server pods"
    if (spec.get("rollout") or {}).get("paused"):
        yield "spec.rollout.paused is true: no server pod is replaced until it is false"
    if spec.get("paused"):
        yield "spec.paused is true: nothing is done until it is false"


def history(rows: Sequence[HistoryRow], *, now_s: float) -> RenderableType:
    """Return one row for each revision, the oldest first."""
    table = new_table(
        "revision", "name", "pods", "state", "age", "image", "changes", fold="changes"
    )
    for one in rows:
        table.add_row(
            str(one.number),
            one.hash,
            str(one.num_pods),
            Text(one.state, STATE_STYLES.get(one.state, "")),
            age(one.created, now_s=now_s),
            one.image,
            Text(", ".join(one.changes)),
        )
    return table
