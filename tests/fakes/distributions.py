"""What our extras bring, through and through, by the metadata of what is installed."""

from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OURS = "flamingo-fleet"


def needed(extras: tuple[str, ...], *, of: str = OURS) -> set[str]:
    """Return the canonical names of all that is installed with some extras, without ourselves."""
    names: set[str] = set()
    todo = [(of, frozenset(extras))]
    done = set()
    while todo:
        name, wanted_extras = todo.pop()
        if (name, wanted_extras) in done:
            continue
        done.add((name, wanted_extras))
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            environments = [{"extra": extra} for extra in wanted_extras or {""}]
            if wanted.marker and not any(map(wanted.marker.evaluate, environments)):
                continue
            found = canonicalize_name(wanted.name)
            names.add(found)
            todo.append((found, frozenset(wanted.extras)))
    return names
