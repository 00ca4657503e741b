"""`flamingo version`: the installed version."""

from importlib import metadata


def version() -> None:
    """Print the version."""
    print(f"flamingo {metadata.version('flamingo-fleet')}")
