"""Tables of tags and of answers to questions, for a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from flamingo.client.taxonomies import Tag
from flamingo.commands.display import answer_texts, output
from flamingo_common.wire.answers import Answer
from flamingo_common.wire.measured import Measured

BAR_CHARS = 20
LIKELY = 0.5
MIN_SHOWN = 3
"""Of a taxonomy's tags, however improbable they are."""


def of_tags(tags: Mapping[str, Sequence[Tag]], at_least: float) -> Table:
    """Return the tags with at least this probability, or the likeliest few, by taxonomy."""
    table = Table("taxonomy", "tag", "", "probability", box=None, pad_edge=False)
    for name, found in tags.items():
        for number, each in enumerate(_shown(found, at_least)):
            bar = "█" * round(BAR_CHARS * each.probability)
            table.add_row(
                output.cell(name if number == 0 else ""),
                output.cell(each.label),
                bar,
                f"{each.probability:.3f}",
            )
    return table


def of_answers(answers: Iterable[tuple[str, Answer]], measured: Measured | None = None) -> Table:
    """Return the answers, each under its heading, and what was measured, if it was."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for heading, answer in answers:
        table.add_row(output.cell(heading, "bold"))
        for label, text in answer_texts.lines(answer):
            style = "red" if label in {"error", "fault"} else "dim"
            is_odd = answer_texts.DISAGREES in text
            table.add_row(
                output.cell(f"  {label}", style), output.cell(text, "yellow" if is_odd else "")
            )
    if measured is not None:
        table.add_row(output.cell("measured", "bold"))
        for label, text in answer_texts.measured_lines(measured):
            table.add_row(output.cell(f"  {label}", "dim"), output.cell(text))
    return table


def _shown(found: Sequence[Tag], at_least: float) -> list[Tag]:
    """Return the likely tags, and as many more as make a few."""
    ordered = sorted(found, key=lambda each: -each.probability)
    num_likely = sum(each.probability >= at_least for each in ordered)
    return ordered[: max(num_likely, MIN_SHOWN)]
