"""Refuses parameters in the query of a POST request's URL, where nothing would read them.

Pure.
"""

from collections.abc import Iterable

from flamingo_common.errors import UnknownParameter
from flamingo_pod.api.request.form_faults import shortened

IGNORED = frozenset({"api-version"})
"""Azure's clients append it to every URL; this API has one version, so it changes nothing."""


def check(names: Iterable[str]) -> None:
    """Check the names of a query's parameters.

    Raises:
        UnknownParameter: one of them would have no effect.
    """
    for name in names:
        if name not in IGNORED:
            raise UnknownParameter(
                f"the URL has the query parameter {shortened(name)!r}, which would have no effect;"
                " send parameters in the body, as JSON or as a form",
                param=shortened(name),
            )
