"""The options and arguments that several commands have."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer

CLUSTER = "Cluster"


class OutputFormat(StrEnum):
    """The formats for programs."""

    JSON = "json"
    YAML = "yaml"


Kubeconfig: TypeAlias = Annotated[
    str | None,
    typer.Option("--kubeconfig", help="Path to the kubeconfig file.", rich_help_panel=CLUSTER),
]
Context: TypeAlias = Annotated[
    str | None, typer.Option("--context", help="Kubeconfig context.", rich_help_panel=CLUSTER)
]
Namespace: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace.", rich_help_panel=CLUSTER)
]
Name: TypeAlias = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of a FlamingoDeployment.")
]
Output: TypeAlias = Annotated[
    OutputFormat | None,
    typer.Option("--output", "-o", help="Format for programs, instead of a table."),
]
