"""Kinds of objects that are left alone: not served, not listed, or of a spec that is unreadable.

Pure.
"""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from flamingo_operator.cluster.kinds import (
    ESSENTIAL,
    HELD,
    NOT_LISTED,
    NOT_SERVED,
    OPTIONAL_KINDS,
    OWNED_KINDS,
    UNREQUESTED_KINDS,
)
from flamingo_operator.cluster.observed import Observed


def missing_kinds(required: AbstractSet[str], observed: Observed) -> dict[str, str]:
    """Return which of the required kinds are unavailable, and why, as far as it is to be said."""
    return {
        kind: why
        for kind, why in sorted(observed.unavailable.items())
        if kind in required
        and why not in (NOT_LISTED, HELD)
        and not (kind in UNREQUESTED_KINDS and why == NOT_SERVED)
    }


def explain(kind: str, why: str) -> str:
    """Return that a kind is needed, why it is unavailable, and what to do about it."""
    return f"{kind} is needed: {why}: {_remedy(why)}"


def _remedy(why: str) -> str:
    if "forbidden" in why:
        return "grant the operator list and watch on it"
    return "install its CustomResourceDefinition, or remove from the spec what needs it"


def without_objects(observed: Observed) -> Observed:
    """Return what was observed, so that only server pods and revisions are changed."""
    kinds = {kind.name: HELD for kind in (*OWNED_KINDS, *OPTIONAL_KINDS) if kind not in ESSENTIAL}
    return replace(observed, unavailable={**kinds, **observed.unavailable})


def unobserved_kinds(observed: Observed) -> dict[str, str]:
    """Return the unavailable kinds without which nothing can be decided, and why they are."""
    essential = sorted(kind.name for kind in ESSENTIAL)
    return {kind: observed.unavailable[kind] for kind in essential if kind in observed.unavailable}
