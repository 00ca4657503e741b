"""How to install the optional packages of a part; the one place that says it.

It imports nothing, because it is used where packages are missing.

Pure.
"""


def advice(extra: str) -> str:
    """Return the command that installs an extra; no index has a release of this software yet."""
    return f"in a checkout, run: pip install '.[{extra}]'"


def missing(prog: str, package: str | None, extra: str) -> str:
    """Return the line for a command that needs a package which is not installed."""
    return f"{prog}: {package} is not installed; {advice(extra)}"
