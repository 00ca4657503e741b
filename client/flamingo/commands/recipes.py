"""`flamingo recipes`: what `flamingo analyze --recipe` can ask."""

from rich.table import Table

from flamingo.client import FlamingoClient, address
from flamingo.commands import options
from flamingo.commands.display import output
from flamingo_common.wire.answers import RecipeCard, RecipeList


def recipes(
    url: options.Url = address.DEFAULT_URL,
    api_key: options.ApiKey = None,
    as_json: options.Json = False,
) -> None:
    """List the recipes of a fleet: questions with the form of their answer."""
    with FlamingoClient(url, api_key=api_key) as client:
        found = client.recipes()
    if as_json:
        output.print_json(RecipeList(data=found))
        return
    output.print_table(_table(found))


def _table(found: list[RecipeCard]) -> Table:
    table = Table("recipe", "answer", "description", box=None, header_style="bold", pad_edge=False)
    for card in found:
        table.add_row(output.cell(card.name), _form(card), output.cell(card.description))
    return table


def _form(card: RecipeCard) -> str:
    if card.parser is not None:
        return card.parser
    return "text" if card.json_schema is None else "JSON"
