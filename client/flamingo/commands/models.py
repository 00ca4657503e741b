"""`flamingo models`: the models that a fleet serves."""

import typer
from rich.table import Table

from flamingo.client import FlamingoClient, address
from flamingo.commands import options
from flamingo.commands.display import output
from flamingo_common.wire.requests import Layer
from flamingo_common.wire.responses import ModelCard, ModelList

LAYERS: tuple[Layer, ...] = ("encoder", "projector")


def models(
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """List the models that a fleet serves, with their limits."""
    with FlamingoClient(url, api_key=api_key) as client:
        cards = client.models()
    if as_json:
        output.print_json(ModelList(data=cards))
        return
    output.print_table(_table(cards))
    if any(card.random_weights for card in cards):
        typer.echo("* random weights, for testing: the output is meaningless", err=True)


def _table(cards: list[ModelCard]) -> Table:
    table = Table("model", box=None, header_style="bold", pad_edge=False)
    for name in ("max audio", "context", "encoder dims", "projector dims"):
        table.add_column(name, justify="right")
    for card in cards:
        dimensions = card.embedding_dimensions
        table.add_row(
            output.cell(card.id + ("*" if card.random_weights else "")),
            f"{card.max_audio_seconds:,.0f} s",
            f"{card.context_tokens:,} tokens",
            *(f"{dimensions[layer]:,}" if layer in dimensions else "-" for layer in LAYERS),
        )
    return table
