"""Packages of the extra `batch`, which are imported on first use: most batches need none."""

from importlib import import_module
from typing import Any

from flamingo_common.errors import FlamingoError
from flamingo_common.service import extras


class MissingExtra(FlamingoError):
    """A package that only some formats need is not installed."""

    code = "missing_extra"


def load(module: str, *, to: str) -> Any:
    """Return a module of an optional package; `to` says what needs it: "to read Parquet".

    Raises:
        MissingExtra: it is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtra(f"{to}, {package} is needed; {extras.advice('batch')}") from None
